"""Reinforcement learning on a tiny base: its config, and the pieces of one update without the loop around them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from medicalgpt.config.loader import Resolved, load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.generate.engine import Engine
from medicalgpt.models.batches import batches
from medicalgpt.rendering.batch import TreeBatch
from medicalgpt.rewards.answers import Group
from medicalgpt.training.context import Outcome
from medicalgpt.training.rl import loop
from medicalgpt.training.rl.experience import Experience, measure
from medicalgpt.training.rl.opening import open_roles
from medicalgpt.training.rl.prompts import PromptSet
from medicalgpt.training.rl.roles import Roles
from medicalgpt.training.rl.rollout import RolloutSampler
from medicalgpt.training.stage import _open, run_stage
from tests.stages import Bench, Killed

REWARDS = Path(__file__).with_name("rewards.py")

# Four prompts an update, two updates, answers of at most eight tokens: the least that is still learning.
SMALL = (
    "data.max_tokens=64",
    "rollout.prompts=4",
    "rollout.max_new_tokens=8",
    "train.max_steps=2",
    "train.sample_count=1",
    "model.dtype=float32",
)


def scored_by(function: str, **more: Any) -> str:
    """The override that scores answers with a function of tests/rewards.py, or any other path."""
    path = function if ":" in function else f"{REWARDS}:{function}"
    rest = "".join(f", {name}: {value}" for name, value in more.items())
    return f"reward.functions=[{{path: '{path}'{rest}}}]"


def words(bench: Bench, stage: str, out: Path, *overrides: str) -> list[str]:
    """What stands behind `medicalgpt train`; prompts are the dialogues of the bench, scored by share of vowels."""
    files = [f"model.base={bench.base}", f"data.train={bench.folder / 'sft.jsonl'}", f"output_dir={out}"]
    own = stage == "distill" or any(o.startswith(("reward.functions", "reward.model")) for o in overrides)
    scored = [] if own else [scored_by("vowels")]
    siblings = [] if stage == "ppo" else ["rollout.completions=2"]
    return [stage, *files, *SMALL, *siblings, *scored, *overrides]


def config(bench: Bench, stage: str, out: Path, *overrides: str) -> Resolved[Any]:
    _, *rest = words(bench, stage, out, *overrides)
    return load(stage_schema(stage), None, rest)


def train(bench: Bench, stage: str, out: Path, *overrides: str) -> Outcome:
    """The stage in this process."""
    return run_stage(config(bench, stage, out, *overrides))


@dataclass
class Pieces:
    """Everything of a first update up to its advantages."""

    config: Any
    roles: Roles
    groups: list[Group]
    seen: Experience
    capacity: int = 128

    def batches(self, items: Sequence[int], batching: Any = None, capacity: int | None = None) -> list[TreeBatch]:
        """Batches of some prompts, with what the update knows of their tokens."""
        form = batching or self.roles.policy.batching
        found = list(batches(self.seen.trees, form, capacity or self.capacity, 3, "cpu", items))
        for batch in found:
            self.seen.attach(batch)
        return found


def pieces(resolved: Resolved[Any]) -> Pieces:
    """Answers of the policy to its first prompts, measured."""
    value = resolved.value
    ctx = _open(value, 0, 1)
    assert isinstance(ctx.prepared, PromptSet)
    torch.manual_seed(value.train.seed)
    roles = open_roles(value)
    sampler = RolloutSampler(Engine(roles.loaded.model, roles.loaded.tokenizer, ctx.template), value.rollout, 1)
    groups = sampler.sample(ctx.prepared.train[: value.rollout.prompts], 0, 0).groups
    return Pieces(value, roles, groups, measure(roles, groups, 128, 3))


@contextmanager
def dies_in_the_third_update(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within the block a run is killed as its third update begins."""
    update = loop.RlTrainer._update

    def dies(self: Any) -> Any:
        if self.step == 2:
            raise Killed
        return update(self)

    with monkeypatch.context() as patch:
        patch.setattr(loop.RlTrainer, "_update", dies)
        with pytest.raises(Killed):
            yield


def shake(parameters: dict[str, torch.nn.Parameter], size: float, seed: int = 3) -> None:
    """Move weights a little, as some training would have."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in sorted(parameters.items()):
            parameter.add_(torch.randn(parameter.shape, generator=random) * size)
