"""What stands at both ends of a stage: the hashes and memory it begins with, the model and manifest it leaves."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from medicalgpt.config.base import StageConfig
from medicalgpt.models.adapters import is_adapted, stores_token_rows
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.load import Loaded
from medicalgpt.models.locate import Located, locate
from medicalgpt.models.reward import RewardPolicy
from medicalgpt.render.template import ChatTemplate
from medicalgpt.runs import manifest, report
from medicalgpt.runs.bases import place_hash
from medicalgpt.runs.folder import RunFolder
from medicalgpt.runs.hashes import code_hash, hash_tree
from medicalgpt.runs.metrics import read as read_metrics
from medicalgpt.runs.ownership import RUN_FILE
from medicalgpt.train import reward

if TYPE_CHECKING:
    from medicalgpt.train.stage import Context, Outcome


def base_hashes(found: Located, adapter: str | None, tokenizer: str | None = None) -> dict[str, str]:
    """SHA-256 of the base's files (a Hub model: its name and revision), of the adapter and of the tokenizer beside it."""
    hashes = {"base": place_hash(found)} | ({"adapter": place_hash(locate(adapter))} if adapter else {})
    return hashes | ({"tokenizer": place_hash(Located(tokenizer, "model"))} if tokenizer else {})


def require_memory(config: StageConfig) -> None:
    """Refuse a model that cannot fit before anything is loaded."""
    from medicalgpt.memory import estimate

    estimate.require_memory(config)


def save_model(folder: Path, loaded: Loaded, template: ChatTemplate) -> None:
    """Adapter or full weights with tokenizer, chat template and every stop token, in Hugging Face layout."""
    model = loaded.model
    inner = unwrap(model)
    implementation = inner.config._attn_implementation  # type: ignore[union-attr]
    if inner.can_generate():  # type: ignore[operator]
        generation = inner.generation_config  # type: ignore[union-attr]
        generation.eos_token_id = template.stop_ids  # type: ignore[union-attr]
        generation.pad_token_id = template.pad_id  # type: ignore[union-attr]
        generation.save_pretrained(str(folder))  # type: ignore[union-attr,operator]
    else:
        # transformers' classifiers read their score at the last token that is not padding.
        inner.config.pad_token_id = template.pad_id  # type: ignore[union-attr]
    # The critic's and the reward model's adapters may lie on the same base; the active one is the policy's.
    chosen: dict[str, Any] = {"selected_adapters": [model.active_adapter]} if is_adapted(model) else {}
    if is_adapted(model) and loaded.token_map is not None:
        loaded.token_map.write(folder)
        chosen |= {"save_embedding_layers": False} if stores_token_rows(model) else {}
    model.save_pretrained(str(folder), safe_serialization=True, **chosen)  # type: ignore[operator]
    inner.config._attn_implementation = implementation  # type: ignore[union-attr]
    tokenizer = template.tokenizer
    before = tokenizer.chat_template
    tokenizer.chat_template = template.source
    tokenizer.save_pretrained(str(folder))
    tokenizer.chat_template = before


def publish(
    ctx: "Context",
    loaded: Loaded,
    tokens: int,
    before: dict[str, float],
    after: dict[str, float],
    parents: tuple[Path, ...],
    report_of: reward.RewardReport | None = None,
) -> None:
    """Save the model, write the report with its figures, and the manifest last."""
    folder = ctx.folder
    with folder.publishing("model") as temp:
        save_model(temp, loaded, ctx.template)
        if report_of is not None:
            reward.write(temp, report_of)
    hashes = ctx.prepared.hashes
    record = manifest.Manifest(
        stage=ctx.name,
        base=ctx.config.model.base,
        parents=[manifest.Parent.of(folder.path, p) for p in parents],
        config_key=ctx.key,
        hashes=manifest.Hashes(
            data=hashes["data"],
            eval=hashes.get("eval"),
            template=hashes["template"],
            tokenizer=hashes["tokenizer"],
            base=ctx.base["base"],
            code=code_hash(),
        ),
        versions=manifest.versions(),
        seed=ctx.config.train.seed,
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        world_size=ctx.world,
        ledger=ctx.prepared.ledger,
        seconds=time.perf_counter() - ctx.started,
        tokens=tokens,
        before=before,
        after=after,
        files=hash_tree(folder.model),
    )
    report.write(folder.path, record)
    manifest.write(folder.path, record)


def reward_report(ctx: "Context", trainer: Any) -> reward.RewardReport | None:
    """A reward model's numbers on its held-out pairs, printed and returned; None for other stages."""
    policy, held_out = trainer.module.policy, trainer.held_out
    if not isinstance(policy, RewardPolicy) or held_out is None:
        return None
    trees = [held_out.trees[i] for i in range(len(held_out.trees))]
    found = reward.evaluate(np.stack(reward.score_trees(policy, trees)), reward.answer_lengths(trees))
    for line in reward.lines(found):
        ctx.console.print(line, highlight=False)
    return found


def withdraw(folder: RunFolder) -> None:
    """Free a folder whose run was refused before its first number, so that a corrected config may use it."""
    claim = (folder.path / RUN_FILE, folder.config)
    names = {p.name for p in folder.path.iterdir() if p.name != ".lock"}
    if names <= {p.name for p in claim}:
        for path in claim:
            path.unlink(missing_ok=True)


def recall(folder: Path) -> "Outcome":
    """The outcome of a run that was finished before."""
    from medicalgpt.train.stage import Outcome

    found = manifest.read(folder)
    return Outcome("already finished", folder, dict(found.before), dict(found.after))  # type: ignore[arg-type]


def held_out_numbers(metrics: Path, step: int) -> dict[str, float]:
    """The held-out numbers that a run wrote at one step, for a run that goes on; empty when it wrote none."""
    return {
        k: v for line in read_metrics(metrics) if line["step"] == step for k, v in line.items() if k.startswith("eval/")
    }
