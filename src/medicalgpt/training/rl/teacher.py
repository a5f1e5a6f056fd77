"""The teacher of on-policy distillation, and its judgment of answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from medicalgpt.config.rl import RlConfig
from medicalgpt.config.sections import ModelConfig
from medicalgpt.errors import ConfigError
from medicalgpt.models.batches import batches
from medicalgpt.models.load import find
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.shard import Sharding, runs_on
from medicalgpt.objectives.base import Compare
from medicalgpt.rendering.build import tokenizer_hash
from medicalgpt.rewards.answers import Group
from medicalgpt.rewards.sources import Scores
from medicalgpt.training.reference import open_reference


def open_teacher(
    name: str, config: RlConfig, policy: CausalPolicy, tokenizer: object, sharding: Sharding | None = None
) -> CausalPolicy:
    """The frozen teacher, with the policy's temperature. It is a model of its own: no key of the student's model says how it is read
    but its number type and whether code that ships with a model may run.

    Raises:
        ConfigError: its tokenizer is another one, so that its distributions are over other tokens.
    """
    own = ModelConfig(
        base=name,
        commit=config.teacher_commit,
        below=config.model.below,
        dtype=config.model.dtype,
        trust_remote_code=config.model.trust_remote_code,
    )
    _, _, theirs = find(own)
    if theirs.get_vocab() != tokenizer.get_vocab():  # type: ignore[attr-defined]
        raise ConfigError(
            f"objective.teacher={name} has another vocabulary ({len(theirs)} tokens, {tokenizer_hash(theirs)[:8]}); distillation "
            "compares token by token. Choose a teacher of the student's family"
        )
    # Its head is read again in the student's backward pass, where logits are computed once more.
    teacher = open_reference(own, config.teacher_quantization, policy.batching, sharding, keep=True)
    teacher.temperature = policy.temperature
    return teacher


@dataclass
class TeacherScore:
    """Scores answers by minus their mean divergence from the teacher, in nats per token."""

    policy: CausalPolicy
    compare: Compare
    capacity: int

    @torch.no_grad()
    def __call__(self, groups: Sequence[Group]) -> Scores:
        """Scores of every answer, group by group."""
        out: dict[int, list[float]] = {}
        trees = [g.tree for g in groups]
        policy, device = self.policy, runs_on(self.policy)
        whole = batches(trees, policy.batching, self.capacity, device=device)
        for batch in policy.passes.even(whole, policy.batching, device):
            found = policy.passes.run(partial(policy.against_teacher, batch, self.compare)).cpu()
            sizes = [len(a.ids) for i in batch.items for a in groups[i].answers]
            means = iter([-float(part.mean()) for part in found.split(sizes)])
            for i in batch.items:
                out[i] = [next(means) for _ in groups[i].answers]
        policy.passes.free()
        score = np.asarray([one for i in range(len(groups)) for one in out[i]])
        return Scores(score, score, {"teacher": score})
