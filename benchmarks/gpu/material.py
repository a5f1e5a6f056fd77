"""What the sections of gpu_check.py work on: packed rows, random models, files of rows, a stage in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gpu.facts import device

if TYPE_CHECKING:
    from medicalgpt.kernels.attention import TreeLayout

ROOT = Path(__file__).resolve().parents[2]
BRANCHES = {"chains": 0, "pairs": 2, "groups": 8}
"""Answers to a prompt in a packed row: SFT has chains, DPO pairs, GRPO groups."""


def layout(tokens: int, kind: str, seed: int = 0) -> "TreeLayout":
    """A packed row of `tokens` tokens of chains, pairs or groups, of lengths drawn from the seed."""
    from medicalgpt.kernels.attention import TreeLayout
    from medicalgpt.rendering.batch import Span

    draws = torch.Generator().manual_seed(seed)
    spans: list[Span] = []
    positions: list[int] = []

    def add(length: int, start: int, ancestors: tuple[int, ...]) -> int:
        length = min(length, tokens - len(positions))
        if length > 0:
            spans.append(Span(len(positions), len(positions) + length, ancestors))
            positions.extend(range(start, start + length))
        return length

    def drawn(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=draws))

    while len(positions) < tokens:
        root = len(spans)
        length = add(drawn(100, 600), 0, ())
        for _ in range(BRANCHES[kind]):
            add(drawn(20, 300), length, (root,))
    return TreeLayout(spans, torch.tensor(positions, device=device())[None])


def save_model(folder: Path, hidden: int = 256, layers: int = 4, heads: int = 8, keys: int = 2) -> Path:
    """A random LLaMA with the tests' tokenizer, as a user would have it on disk."""
    from tests.tiny import save_tiny

    return save_tiny(
        folder,
        scale=1.0,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=keys,
        max_position_embeddings=4096,
    )


def write_rows(folder: Path, count: int = 64) -> None:
    """sft.jsonl, pairs.jsonl and prompts.jsonl with rows of different lengths."""
    answer = "Drink enough and call a doctor when it lasts three days. "

    def rows(number: int) -> dict[str, dict[str, Any]]:
        ask, good = f"What helps with fever {number}?", answer * (1 + number % 5)
        messages = [{"role": "user", "content": ask}, {"role": "assistant", "content": good}]
        pair = {"prompt": ask, "chosen": good, "rejected": f"Take {number} tablets at once. " * (1 + number % 4)}
        return {"sft": {"messages": messages}, "pairs": pair, "prompts": {"prompt": ask}}

    for name in ("sft", "pairs", "prompts"):
        lines = [json.dumps(rows(number)[name]) + "\n" for number in range(count)]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


DATA = {"dpo": "pairs", "kto": "pairs", "rm": "pairs", "ppo": "prompts", "grpo": "prompts", "distill": "prompts"}


def train(stage: str, folder: Path, out: str, *more: str, card: bool = True) -> dict[str, list[float]]:
    """Four steps of a stage in a process of its own; its metrics by name.

    Raises:
        AssertionError: it ended with an error, whose last lines are the message.
    """
    words = [
        f"model.base={folder / 'base'}",
        f"data.train={folder / DATA.get(stage, 'sft')}.jsonl",
        f"output_dir={folder / out}",
        "data.max_tokens=256",
        "train.max_steps=4",
        *more,
    ]
    hidden = {} if card else {"CUDA_VISIBLE_DEVICES": ""}
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "medicalgpt", "train", stage, *words],
        env={**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", **hidden},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, " ".join(done.stderr[-1200:].split())
    lines = [json.loads(line) for line in (folder / out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    found: dict[str, list[float]] = {}
    for line in lines:
        for name, value in line.items():
            if isinstance(value, (int, float)):
                found.setdefault(name, []).append(float(value))
    return found
