"""On-policy distillation (GKD, arXiv 2306.13649): on the student's own answers, its distribution moves to the teacher's.

With student p, teacher q and mixture m = β·q + (1−β)·p, per sampled token and over the whole vocabulary:

    forward_kl      KL(q ‖ p)
    reverse_kl      KL(p ‖ q)
    jensen_shannon  β·KL(q ‖ m) + (1−β)·KL(p ‖ m)
"""

import math
from dataclasses import dataclass
from typing import Literal, final

import torch

from medicalgpt.objectives.base import B, LossOut, Student, TokenObjective

Divergence = Literal["forward_kl", "reverse_kl", "jensen_shannon"]


def divergence(student: torch.Tensor, teacher: torch.Tensor, kind: Divergence, mix: float = 0.5) -> torch.Tensor:
    """Divergence [n] in nats from log-probabilities [n, V] of both; `mix` is β."""
    if kind == "forward_kl":
        return _kl(teacher, student)
    if kind == "reverse_kl":
        return _kl(student, teacher)
    middle = torch.logaddexp(teacher + math.log(mix), student + math.log1p(-mix))
    return mix * _kl(teacher, middle) + (1 - mix) * _kl(student, middle)


def _kl(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    return (p.exp() * (p - q)).sum(-1)


@final
@dataclass(frozen=True)
class Distillation(TokenObjective[Student[B], B]):
    """Mean over all sampled tokens of the divergence from the teacher that the policy carries."""

    kind: Divergence = "jensen_shannon"
    mix: float = 0.5

    def __call__(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """The divergence [n] of two tables of log-probabilities [n, V]."""
        return divergence(student, teacher, self.kind, self.mix)

    def loss(self, policy: Student[B], batch: B) -> LossOut:
        losses, count = policy.against_teacher(batch, self), self.count(batch)
        return LossOut(losses.sum(), count, "token", {"divergence": (losses.detach().sum(), count)})
