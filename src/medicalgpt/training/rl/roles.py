"""The four roles of reinforcement learning: policy, reference, critic, reward model; one base for all of them with LoRA.

With LoRA the base lies in memory once: the policy is its adapter, the reference the base with adapters off, the critic a
second adapter with a value head, and the reward model a third adapter when it was trained on the same base.
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from medicalgpt.models import adapters
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.excluded_modules import unreached_parameters
from medicalgpt.models.load import Loaded
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.reward import RewardPolicy
from medicalgpt.models.shard import Sharding, has_room, put_out, runs_on
from medicalgpt.rendering.batch import TreeBatch
from medicalgpt.runs.reward_report import RewardReport
from medicalgpt.training.together import gathered


@dataclass
class Roles:
    """Policy, critic, reference and reward model. `reference` is None when it is the policy's base with adapters off."""

    loaded: Loaded
    policy: CausalPolicy
    critic: RewardPolicy | None = None
    reward: RewardPolicy | None = None
    reference: CausalPolicy | None = None
    teacher: CausalPolicy | None = None
    report: RewardReport | None = None
    notes: list[str] = field(default_factory=list)
    autocast: torch.dtype | None = None
    sharding: Sharding | None = None

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """Number type of every forward pass over answers: the same where they are measured and where they are learned from,
        or the first ratios would not be 1."""
        device = runs_on(self.policy).type
        return torch.autocast(device, self.autocast, enabled=self.autocast is not None)

    def free(self) -> None:
        """Give up the weights that passes gathered, so that what lies in a model's place is this process's part."""
        for player in self.modules():
            player.passes.free()

    @contextlib.contextmanager
    def put_out(self) -> Iterator[None]:
        """Inside, every process holds the whole policy, as plain weights that a decoder may read. All must come here."""
        root = self.policy.passes.root
        if root is None or self.sharding is None:
            yield
            return
        with put_out(root, self.sharding.reshard):
            yield

    def has_room(self) -> bool:
        """Whether `put_out` finds room in every process."""
        root = self.policy.passes.root
        return root is None or all(gathered(has_room(root)))

    def modules(self) -> list[CausalPolicy | RewardPolicy]:
        """Everyone who holds weights."""
        found = [self.policy, self.critic, self.reward, self.reference, self.teacher]
        return [player for player in found if player is not None]

    def trained(self) -> dict[str, nn.Parameter]:
        """Trained parameters by name, as this process holds them: `policy.…` and `critic.…`, each once."""
        self.free()
        out: dict[str, nn.Parameter] = {}
        critic = self.critic_ids()
        for name, parameter in self.policy.named_parameters():
            if parameter.requires_grad and id(parameter) not in critic:
                out[f"policy.{name}"] = parameter
        for name, parameter in self.critic.named_parameters() if self.critic else ():
            if parameter.requires_grad and id(parameter) in critic:
                out[f"critic.{name}"] = parameter
        return out

    def critic_ids(self) -> set[int]:
        """Parameters that belong to the critic: its own model, or its adapter and head on the shared base."""
        return set() if self.critic is None else critic_ids(self.critic)

    @torch.no_grad()
    def reference_logps(self, batch: TreeBatch) -> torch.Tensor:
        """log π_ref [N] at the batch's weighted positions."""
        reference, policy = self.reference, self.policy
        if reference is not None:
            return reference.passes.run(lambda: reference.logps(batch)[0])

        def without_adapter() -> torch.Tensor:
            with adapters.adapter_off(policy.model):
                return policy.logps(batch)[0]

        return policy.passes.run(without_adapter)

    def memory(self) -> tuple[int, int]:
        """Bytes of weights in memory, and what four separate models would take."""
        base = unwrap(self.policy.model)
        one = _bytes(p for n, p in base.named_parameters() if ".lora_" not in n)
        roles = 2 + sum(role is not None for role in (self.critic, self.reward, self.teacher))
        extra = _bytes(p for n, p in base.named_parameters() if ".lora_" in n)
        return _bytes(p for m in self.modules() for p in m.parameters()), roles * one + extra


def critic_ids(critic: RewardPolicy) -> set[int]:
    """Parameters that a critic learns with: its own model's, or its adapter and head on a shared base."""
    own = critic.adapter
    still = {id(p) for p in unreached_parameters(critic.model)} if own is None else set()
    found = {id(p) for n, p in critic.named_parameters() if own is None or f".{own}." in n or n.startswith("head.")}
    return found - still


def _bytes(parameters: Iterable[nn.Parameter]) -> int:
    return sum({id(p): p.numel() * p.element_size() for p in parameters}.values())
