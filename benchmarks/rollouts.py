"""Sampled answers a second, by our engine or by `transformers.generate`, on the same prompts with the same settings.

usage: rollouts.py {ours|theirs|alone|singly|continuous} {equal|varied} MODEL --rows FOLDER [-n 32]
equal: every answer has exactly 64 tokens. varied: each answer has as many tokens as its question's reference answer, at
most 256. In both, stop tokens are forbidden before that, so both sides make the same number of tokens. Ours takes all
prompts at once; theirs is what a user writes: batches of 32 in the order given, padded on the left, finished rows waiting
for the longest; alone and singly are ours and theirs with one prompt at a time, ours as `chat` opens it; continuous is
transformers' continuous batching, at most 32 rows in a step. FOLDER holds rows.py with the questions (MedQuAD).
"""

import argparse
import functools
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

BATCH, EQUAL, LONGEST = 32, 64, 256
TEMPERATURE, TOP_P = 1.0, 0.9


def ours(model: str, prompts: list[list[int]], lengths: list[int], batch: int = BATCH) -> tuple[int, float]:
    """New tokens and seconds of our engine."""
    from medicalgpt.generate.engine import Engine
    from medicalgpt.generate.sampling import Sampling, row_seed

    engine = Engine.open(model, dtype="float32", inference_only=batch == 1)
    longest = max(lengths)
    sampling = Sampling(longest, temperature=TEMPERATURE, top_p=TOP_P, min_new_tokens=longest)
    made = [0] * len(prompts)

    def ends(row: int, token: int) -> bool:
        made[row] += 1
        return made[row] == lengths[row]

    seeds = [[row_seed(0, i)] for i in range(len(prompts))]
    start = time.perf_counter()
    answers = engine.backend.run(prompts, sampling, seeds, batch_size=batch, ends=ends)
    seconds = time.perf_counter() - start
    assert [len(ids) for (ids,) in answers] == lengths
    return sum(lengths), seconds


def theirs(model: str, prompts: list[list[int]], lengths: list[int], batch: int = BATCH) -> tuple[int, float]:
    """New tokens and seconds of `transformers.generate`."""
    from transformers import AutoModelForCausalLM, StoppingCriteria, StoppingCriteriaList

    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()

    class AtLength(StoppingCriteria):
        """Row i is done after wanted[i] tokens."""

        def __init__(self, wanted: list[int]) -> None:
            self.wanted, self.made = torch.tensor(wanted), 0

        def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
            self.made += 1
            return self.made >= self.wanted

    start = time.perf_counter()
    for i in range(0, len(prompts), batch):
        rows, wanted = prompts[i : i + batch], lengths[i : i + batch]
        width = max(map(len, rows))
        out = loaded.generate(
            input_ids=torch.tensor([[0] * (width - len(row)) + row for row in rows]),
            attention_mask=torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows]),
            max_new_tokens=max(wanted),
            min_new_tokens=max(wanted),
            do_sample=True,
            temperature=TEMPERATURE,
            top_p=TOP_P,
            top_k=0,
            pad_token_id=0,
            stopping_criteria=StoppingCriteriaList([AtLength(wanted)]),
        )
        assert out.shape[1] - width == max(wanted)
    return sum(lengths), time.perf_counter() - start


def continuous(model: str, prompts: list[list[int]], lengths: list[int]) -> tuple[int, float]:
    """New tokens and seconds of transformers' continuous batching; its pages hold 32 tokens and are not shared."""
    from transformers import AutoModelForCausalLM, ContinuousBatchingConfig, GenerationConfig

    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    sampling = GenerationConfig(
        do_sample=True, temperature=TEMPERATURE, top_p=TOP_P, top_k=0, max_new_tokens=max(lengths), eos_token_id=-1
    )
    longest = max(map(len, prompts)) + max(lengths)
    pages = ContinuousBatchingConfig(
        page_size=32,
        num_blocks=BATCH * -(-longest // 32),
        max_batch_tokens=max(256, longest),
        max_requests_per_batch=BATCH,
        allow_block_sharing=False,
        seed=0,
    )
    start = time.perf_counter()
    with loaded.continuous_batching_context_manager(
        generation_config=sampling, continuous_batching_config=pages, warmup=False
    ) as manager:
        wanted = {
            manager.add_request(prompt, max_new_tokens=length, eos_token_id=-1): length
            for prompt, length in zip(prompts, lengths)
        }
        found: dict[str, int] = {}
        while len(found) < len(wanted):
            if (answer := manager.get_result(timeout=600)) is None:
                raise SystemExit("continuous batching stopped before its answers were done")
            found[answer.request_id] = len(answer.generated_tokens)
    assert found == wanted
    return sum(lengths), time.perf_counter() - start


def main() -> None:
    """Time one side on one kind of lengths."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=["ours", "theirs", "alone", "singly", "continuous"])
    parser.add_argument("kind", choices=["equal", "varied"])
    parser.add_argument("model")
    parser.add_argument("--rows", required=True)
    parser.add_argument("-n", type=int, default=32)
    a = parser.parse_args()
    sys.path.insert(0, a.rows)
    from rows import qa_rows
    from transformers import AutoTokenizer

    rows = qa_rows(AutoTokenizer.from_pretrained(a.model), a.n, 1024)
    prompts = [row["input_ids"][: row["prompt_len"]] for row in rows]
    answers = [min(LONGEST, len(row["input_ids"]) - row["prompt_len"]) for row in rows]
    lengths = [EQUAL] * len(rows) if a.kind == "equal" else answers
    sides: dict[str, Callable[[str, list[list[int]], list[int]], tuple[int, float]]] = {
        "ours": ours,
        "theirs": theirs,
        "alone": functools.partial(ours, batch=1),
        "singly": functools.partial(theirs, batch=1),
        "continuous": continuous,
    }
    tokens, seconds = sides[a.side](a.model, prompts, lengths)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{a.side} {a.kind} prompts={len(rows)} tokens={tokens} seconds={seconds:.1f} "
        f"tokens_per_second={tokens / seconds:.1f} peak_gib={peak:.2f} threads={torch.get_num_threads()} {Path(a.model).name}"
    )


if __name__ == "__main__":
    main()
