"""The two layouts that checkpoints had before format 1, so that a run interrupted then can go on.

Supervised training wrote the files of format 1 without `checkpoint.json`; reinforcement learning wrote `state.json` and
`random_R.pt` of its own.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict, final

import torch
from pydantic import BaseModel

from medicalgpt.checkpoints.random_state import RandomState
from medicalgpt.checkpoints.saved_files import parsed

_STEP = re.compile(r"step-(\d+)")
_RANDOM = re.compile(r"(?:random|rng_state)(?:_(\d+))?\.(?:pt|pth)")


@final
class OldRandomState(TypedDict):
    """What `random_R.pt` holds: lists instead of tuples, NumPy's keys as an int64 tensor, no CUDA."""

    python: tuple[int, list[int], float | None]
    numpy: tuple[str, torch.Tensor, int, int, float]
    torch: torch.Tensor


class _OldLoop(BaseModel):
    tokens: int


@dataclass(frozen=True)
class OldCheckpoint:
    """A folder in an old layout: who wrote it, at which step, and where the parts are that format 1 calls otherwise."""

    kind: Literal["supervised", "rl"]
    step: int
    state: Path
    random: tuple[Path, ...]

    def total_tokens(self) -> int:
        """Tokens the run had seen; only reinforcement learning kept them in `state`."""
        return parsed(self.state, _OldLoop).tokens


def recognize(folder: Path) -> OldCheckpoint | None:
    """What the folder is, or None when it has no old layout."""
    kinds: tuple[tuple[Literal["supervised", "rl"], str, str], ...] = (
        ("rl", "state.json", "state.json"),
        ("supervised", "pending.json", "trainer_state.json"),
    )
    step = _STEP.fullmatch(folder.name)
    if step is None:
        return None
    for kind, mark, state in kinds:
        if (folder / mark).is_file():
            found = [(int(m[1] or 0), path) for path in folder.iterdir() if (m := _RANDOM.fullmatch(path.name))]
            return OldCheckpoint(kind, int(step[1]), folder / state, tuple(path for _, path in sorted(found)))
    return None


def modern(state: RandomState | OldRandomState) -> RandomState:
    """A random state of any layout as format 1 has it."""
    if "torch" not in state:
        return state
    version, numbers, gauss = state["python"]
    name, keys, position, has_gauss, cached = state["numpy"]
    return RandomState(
        python=(version, tuple(numbers), gauss),
        numpy=(name, keys.tolist(), position, has_gauss, cached),
        cpu=state["torch"],
    )
