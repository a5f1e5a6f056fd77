"""Sections of gpu_check.py that train: the card's step is the CPU's, every second model is where it must be, a run resumes."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from gpu.facts import fact
from gpu.material import save_model, train, write_rows

STEP = ("data.max_tokens=128", "train.tokens_per_step=512", "train.sample_count=1", "train.sample_tokens=8")


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder with a base model and rows."""
    with tempfile.TemporaryDirectory() as name:
        save_model(Path(name) / "base")
        write_rows(Path(name))
        yield Path(name)


CASES = {
    "float32 LoRA": (("model.dtype=float32",), 1e-3),
    "bfloat16 LoRA": ((), 5e-2),
    "float32, padded": (("model.dtype=float32", "train.batching=padded"), 1e-3),
    "float32, recomputed": (("model.dtype=float32", "train.gradient_checkpointing=true"), 1e-3),
    "float16 LoRA": (("model.dtype=float16",), 5e-2),
    "full, float32 under bfloat16": (("lora.enabled=false",), 5e-2),
    "nf4": (("quantization=nf4",), 0.3),
    "int8": (("quantization=int8",), 0.3),
}
"""Settings of SFT beside float32 LoRA on the CPU, and how far the first loss may be from that."""


def step(smoke: bool) -> None:
    """The losses of four steps on the card against those of the CPU in float32."""
    with _folder() as folder:
        right = train("sft", folder, "cpu", "model.dtype=float32", *STEP, card=False)["train/loss"]
        fact("CPU, float32", [round(x, 5) for x in right])
        for number, (name, (more, bound)) in enumerate(CASES.items()):
            if smoke and number > 0:
                break
            try:
                found = train("sft", folder, f"run{number}", *more, *STEP)["train/loss"]
                gap = abs(found[0] - right[0])
                assert gap < bound, f"first loss {found[0]:.5f}, on the CPU {right[0]:.5f}"
                fact(f"{name}: losses off by", [round(abs(a - b), 6) for a, b in zip(found, right, strict=True)])
            except AssertionError as error:
                fact(name, f"FAILED {str(error)[-400:]}")


def devices(smoke: bool) -> None:
    """References, teachers, reward models and critics on the card with the policy, in every combination there is."""
    with _folder() as folder:
        base = folder / "base"
        rl = ("rollout.prompts=4", "rollout.max_new_tokens=8", "train.max_steps=1")
        rewards = "reward.functions=[{name: length, limit: 200}]"
        cases: dict[str, tuple[str, tuple[str, ...]]] = {
            "dpo, a second model": ("dpo", ("objective.reference=model", f"objective.reference_model={base}")),
            "dpo, full, cached reference": ("dpo", ("lora.enabled=false",)),
            "dpo, nf4": ("dpo", ("quantization=nf4",)),
            "kto": ("kto", ()),
            "rm": ("rm", ()),
            "grpo": ("grpo", (*rl, rewards)),
            "distill": ("distill", (*rl, f"objective.teacher={base}")),
            "distill, nf4": ("distill", (*rl, f"objective.teacher={base}", "quantization=nf4")),
        }
        for number, (name, (stage, more)) in enumerate(cases.items()):
            if smoke and name not in ("dpo, a second model", "grpo", "distill"):
                continue
            own = STEP if stage in ("dpo", "kto", "rm") else ()
            try:
                found = train(stage, folder, f"run{number}", *own, *more)
                fact(
                    name,
                    {
                        key: round(found[key][0], 4)
                        for key in sorted(found)
                        if key in ("train/loss", "train/kl", "reward")
                    }
                    or "ran",
                )
            except AssertionError as error:
                fact(name, f"FAILED {str(error)[-400:]}")


def resume(smoke: bool) -> None:
    """A run of two steps made longer to four has the losses of one that was four steps long."""
    with _folder() as folder:
        more = (*STEP, "train.schedule=constant", "train.warmup=0", "train.save_every=2")
        whole = train("sft", folder, "whole", *more)["train/loss"]
        train("sft", folder, "parts", *more, "train.max_steps=2")
        parts = train("sft", folder, "parts", *more, "train.max_steps=4")["train/loss"]
        gap = max(abs(a - b) for a, b in zip(whole, parts, strict=True))
        fact("losses of a stopped and longer run, off by", gap)
        assert gap <= (1e-2 if torch.cuda.is_available() else 1e-5)
