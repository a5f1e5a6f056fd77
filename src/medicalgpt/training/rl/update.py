"""Some passes of minibatches over one update's answers: the policy's half, then the critic's, each with its optimizer."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch

from medicalgpt.config.rl import RlConfig
from medicalgpt.errors import RunError
from medicalgpt.models.batches import batches
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.reward import RewardPolicy
from medicalgpt.models.shard import add_up, whole
from medicalgpt.objectives.base import Objective
from medicalgpt.objectives.ppo import ClippedValue
from medicalgpt.rendering.batch import TreeBatch
from medicalgpt.training.meter import Meter
from medicalgpt.training.optimizers import Group, optimizer_of, token_weights
from medicalgpt.training.reached import GradientWatch
from medicalgpt.training.rl.experience import Experience
from medicalgpt.training.rl.process_group import ProcessGroup
from medicalgpt.training.rl.roles import Roles
from medicalgpt.training.rl.shared_rows import sharing, with_peers
from medicalgpt.training.schedule import factor
from medicalgpt.training.sequence import RowGroup

Player = TypeVar("Player", CausalPolicy, RewardPolicy)


@dataclass(frozen=True)
class UpdateSettings:
    """How often, in how many parts, and up to which KL(old ‖ new) per token the answers of an update are used."""

    epochs: int
    minibatches: int
    stop_kl: float | None = None


@dataclass
class Updater:
    """Holds the optimizer: one group of parameters for the policy, one for the critic, each with its learning rate."""

    config: RlConfig
    roles: Roles
    world: ProcessGroup
    capacity: int
    filler: int
    critic_rate: float = 0.0
    group: RowGroup = field(default_factory=RowGroup)

    def __post_init__(self) -> None:
        named = self.roles.trained()
        self.watch = GradientWatch(named, self.world)
        self.policy = [p for n, p in named.items() if n.startswith("policy.")]
        self.critic = [p for n, p in named.items() if n.startswith("critic.")]
        t = self.config.train
        groups = [
            Group(some, peak, t.weight_decay if matrices else 0.0)
            for part, peak in (("policy.", t.learning_rate), ("critic.", self.critic_rate))
            for matrices in (True, False)
            if (some := {n: p for n, p in named.items() if n.startswith(part) and (p.dim() > 1) == matrices})
        ]
        self.optimizer = optimizer_of(self.config, groups, token_weights(*self.roles.modules()))

    def set_rates(self, update: int, updates: int) -> dict[str, float]:
        """Learning rates of update number `update` (0-based) of `updates`."""
        t = self.config.train
        scale = factor(update, updates, t.warmup, t.schedule)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * scale
        rates = {"learning_rate": t.learning_rate * scale}
        return rates | ({"critic_learning_rate": self.critic_rate * scale} if self.critic else {})

    def run(
        self,
        seen: Experience,
        objective: Objective[CausalPolicy, TreeBatch],
        value: ClippedValue[TreeBatch] | None,
        owned: Sequence[int],
        total: int,
        passes: UpdateSettings,
        update: int,
        train_policy: bool = True,
    ) -> dict[str, float]:
        """Learn from `seen`; returns the metrics' means.

        Args:
            owned: numbers, among the update's `total` prompts, of the trees of this process.
            train_policy: false while only the critic warms up.
        """
        meter, start = Meter(self.world), time.perf_counter()
        seen, owned = with_peers(seen, owned, self.group.peers)
        norms: dict[str, list[float]] = {"grad_norm": [], "critic_grad_norm": []}
        steps = 0
        for number, part in self._parts(total, passes, update):
            items = [i for i, prompt in enumerate(owned) if prompt in part]
            if train_policy:
                found = self._policy_step(seen, items, objective, passes.stop_kl if number else None, meter, update)
                if found is None:
                    break
                norms["grad_norm"].append(found)
            if value is not None and self.roles.critic is not None:
                norms["critic_grad_norm"].append(self._value_step(seen, items, value, meter, update))
            steps += 1
        self.roles.free()  # a teacher's head stays until here
        values, _ = meter.drain()
        values |= {name: float(np.mean(found)) for name, found in norms.items() if found}
        return values | {"minibatches": float(steps), "train_seconds": time.perf_counter() - start}

    def _parts(self, total: int, passes: UpdateSettings, update: int) -> Iterator[tuple[int, set[int]]]:
        """Prompts of every minibatch, the same on every process: shuffled anew in each pass."""
        number = 0
        for epoch in range(passes.epochs):
            order = np.random.default_rng([self.config.train.seed, 11, update, epoch]).permutation(total)
            for part in np.array_split(order, min(passes.minibatches, total)):
                yield number, {int(i) for i in part}
                number += 1

    def _policy_step(
        self,
        seen: Experience,
        items: Sequence[int],
        objective: Objective[CausalPolicy, TreeBatch],
        stop_kl: float | None,
        meter: Meter,
        update: int,
    ) -> float | None:
        """One step of the policy; None when the minibatch showed that it has moved far enough."""
        own = Meter(self.world)
        self._backward(self.roles.policy, objective, seen, items, own, "policy_loss")
        if stop_kl is not None and own.means()["approx_kl"] > stop_kl:
            return None
        meter.join(own)
        return self._apply(self.policy, "policy", update)

    def _value_step(
        self, seen: Experience, items: Sequence[int], value: ClippedValue[TreeBatch], meter: Meter, update: int
    ) -> float:
        critic = self.roles.critic
        assert critic is not None
        with critic.role():  # recomputed activations need the critic's adapter in the backward pass as well
            self._backward(critic, value, seen, items, meter, None)
        return self._apply(self.critic, "critic", update)

    def _backward(
        self,
        model: Player,
        objective: Objective[Player, TreeBatch],
        seen: Experience,
        items: Sequence[int],
        meter: Meter,
        name: str | None,
    ) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        parts = list(self._batches(seen, items, model))
        speaks = self.group.speaks
        (count,) = self.world.sums(sum(float(objective.count(b)) for b in parts) if speaks else 0.0)
        sharding = self.roles.sharding
        # FSDP gives each process its part of the mean over all of them.
        scale = (self.world.size if sharding else 1) / (count or 1.0)  # where nothing carries loss, its sum is 0
        for number, batch in enumerate(parts, 1):
            if model.passes.root is not None and sharding is not None:
                last = number == len(parts)
                add_up(model.passes.root, within=last or sharding.each, between=last)
            with recomputing(model), sharing(model, self.group.peers):
                with self.roles.precision():
                    loss = model.passes.run(partial(_learned, objective, model, batch))
                (loss["sum"] * scale).backward()
            meter.add(loss["metrics"] | ({name: (loss["sum"], loss["count"])} if name else {}))

    def _batches(self, seen: Experience, items: Sequence[int], model: Player) -> Iterator[TreeBatch]:
        device = self.world.device
        found = batches(seen.trees, model.batching, self.capacity, self.filler, device, items)
        # A process without a prompt in this minibatch still takes part in every sum.
        for batch in model.passes.even(found, model.batching, device, self.filler, least=1):
            yield seen.attach(batch)

    def _apply(self, parameters: list[torch.nn.Parameter], who: str, update: int) -> float:
        """Sum the gradients over processes, clip, step; a gradient that is not finite stops the run before it is used."""
        self.watch.look(f"{who}.")
        if self.roles.sharding is None:  # else they were added up in the backward passes
            self.world.add_gradients(parameters)
        norm = float(whole(torch.nn.utils.clip_grad_norm_(parameters, self.config.train.max_grad_norm)))
        if not np.isfinite(norm):
            raise RunError(
                f"the {who}'s gradient became non-finite in update {update}. No weight was touched by it; the last "
                "checkpoint is intact. Try a lower learning rate, or model.dtype=float32"
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norm


def _learned(objective: Objective[Player, TreeBatch], model: Player, batch: TreeBatch) -> dict[str, Any]:
    """Sum and count of the loss and of every metric; FSDP looks for tensors in a dictionary."""
    out = objective.loss(model, batch)
    return {"sum": out.sum, "count": out.count, "metrics": out.metrics}


@contextlib.contextmanager
def recomputing(model: torch.nn.Module) -> Iterator[None]:
    """Let layers with gradient checkpointing do it.

    transformers recomputes only in training mode, which would switch dropout on; the mode of the layer alone decides.
    """
    layers = [m for m in model.modules() if getattr(m, "gradient_checkpointing", False) and not m.training]
    for layer in layers:
        layer.training = True
    try:
        yield
    finally:
        for layer in layers:
            layer.training = False
