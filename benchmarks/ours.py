"""Our trainer on the rows of the side-by-side benchmarks: tokens or pairs per second and peak memory of this process.

usage: ours.py {sft|dpo|rm|orpo} MODEL --rows FOLDER [--full] [--cached] [-n 64] [--max-tokens 1024] [--row-tokens 2048]
FOLDER holds rows.py, which both sides take their rows from.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from transformers import TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from medicalgpt.config.base import SupervisedConfig
from medicalgpt.config.loader import load as load_config
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.sections import LoraConfig, ModelConfig
from medicalgpt.data.records import Source
from medicalgpt.kernels.products import quick_products
from medicalgpt.models.load import load
from medicalgpt.models.optimize import optimize_for_training
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.probe import probe
from medicalgpt.models.reward import RewardPolicy, probe_scores
from medicalgpt.objectives.dpo import DirectPreference
from medicalgpt.objectives.language import SupervisedFineTuning
from medicalgpt.objectives.orpo import OddsRatioPreference
from medicalgpt.objectives.reward import RewardModeling
from medicalgpt.rendering.pack import plan_run
from medicalgpt.rendering.tree import Segment, TokenTree, chain
from medicalgpt.runs.folder import RunFolder
from medicalgpt.training.phases import Phases
from medicalgpt.training.sequence import RowGroup
from medicalgpt.training.supervised.module import StageModule
from medicalgpt.training.supervised.plan import PlanDataset
from medicalgpt.training.supervised.reference_cache import compute
from medicalgpt.training.supervised.trainer import StageTrainer


def sft_tree(row: dict, number: int) -> TokenTree:
    """A question and its answer as one chain."""
    ids = row["input_ids"]
    return chain(ids, [0.0] * row["prompt_len"] + [1.0] * (len(ids) - row["prompt_len"]), Source("qa", number))


def dpo_tree(row: dict, number: int) -> TokenTree:
    """A dialogue with its better and its worse summary."""

    def part(ids: list[int], weight: float, parent: int) -> Segment:
        return Segment(np.asarray(ids, np.int32), np.full(len(ids), weight, np.float32), parent)

    branches = (part(row["chosen_ids"], 1, 0), part(row["rejected_ids"], 1, 0))
    return TokenTree((part(row["prompt_ids"], 0, -1), *branches), Source("pairs", number))


class Clock(TrainerCallback):
    """When each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_begin(self, args, state, control, **_) -> None:  # type: ignore[no-untyped-def]
        self.ends.append(time.perf_counter())

    def on_step_end(self, args, state, control, **_) -> None:  # type: ignore[no-untyped-def]
        self.ends.append(time.perf_counter())


WARM_UP = 2
"""Steps after which every page of memory has been touched once."""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["sft", "dpo", "rm", "orpo"])
    parser.add_argument("model")
    parser.add_argument("--rows", required=True)
    parser.add_argument("--full", action="store_true")
    parser.add_argument(
        "--cached", action="store_true", help="time the steps with reference log-probabilities cached before"
    )
    parser.add_argument("-n", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=1024)
    parser.add_argument("--row-tokens", type=int, default=2048)
    return parser.parse_args()


def main() -> None:
    """Time one pass over the rows."""
    a = arguments()
    sys.path.insert(0, a.rows)
    from rows import pair_rows, qa_rows

    lora, scores = None if a.full else LoraConfig(rank=8, alpha=16), a.what == "rm"
    loaded = load(ModelConfig(base=a.model, dtype="float32"), "none", lora, "score" if scores else "language")
    optimize_for_training(loaded.model)
    rows = (qa_rows if a.what == "sft" else pair_rows)(loaded.tokenizer, a.n, a.max_tokens)
    trees = [(sft_tree if a.what == "sft" else dpo_tree)(row, i) for i, row in enumerate(rows)]
    found = (probe_scores if scores else probe)(loaded.model)
    policy: CausalPolicy | RewardPolicy
    if scores:
        policy = RewardPolicy(loaded.model, found.batching)
    else:
        policy = CausalPolicy(loaded.model, found.batching, found.chunked_head)
    lengths = np.asarray([len(t) for t in trees])
    plan = plan_run(lengths, a.row_tokens, 1, 1, None, 42)
    data = PlanDataset(trees, plan.rows, found.batching, 0)
    if a.cached:
        assert isinstance(policy, CausalPolicy)
        data.reference = compute(policy, trees, plan.rows, found.batching, 0)
    folder = tempfile.mkdtemp()
    args = TrainingArguments(
        output_dir=folder,
        num_train_epochs=1,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=1,
        learning_rate=2e-4 if a.what == "sft" else 1e-5,
        optim="adamw_torch_fused",
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
    )
    objectives = {
        "sft": SupervisedFineTuning,
        "dpo": DirectPreference,
        "rm": RewardModeling,
        "orpo": OddsRatioPreference,
    }
    objective = objectives[a.what]()
    config = load_config(
        stage_schema(a.what), None, [f"model.base={a.model}", "data.train=[-]", f"output_dir={folder}"]
    ).value
    assert isinstance(config, SupervisedConfig)
    trainer = StageTrainer(
        StageModule(policy, objective),
        args,
        data,
        None,
        RunFolder(folder),
        ("constant", 0.0),
        Phases(Console(quiet=True)),
        RowGroup(),
        config,
    )
    trainer.pop_callback(PrinterCallback)
    clock = Clock()
    trainer.add_callback(clock)
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    tokens, trained = int(lengths.sum()), sum(t.trained for t in trees)
    late = [trees[i] for row in plan.rows[WARM_UP:] for i in row]
    steady = clock.ends[-1] - clock.ends[min(WARM_UP, len(clock.ends) - 1)]
    print(
        f"ours {a.what} full={a.full} cached={a.cached} rows={len(trees)} tokens={tokens} trained={trained} seconds={seconds:.1f} "
        f"tokens_per_second={tokens / seconds:.1f} pairs_per_second={len(trees) / seconds:.3f} peak_gib={peak:.2f} "
        f"steady_tokens={sum(len(t) for t in late)} steady_trained={sum(t.trained for t in late)} steady_seconds={steady:.2f} "
        f"threads={torch.get_num_threads()} batching={found.batching} {Path(a.model).name}"
    )


if __name__ == "__main__":
    with quick_products():  # as every stage does
        main()
