"""Opens everyone a reinforcement-learning stage needs; each model is divided before the next is loaded, where it is to be."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from medicalgpt.config.rl import RlConfig
from medicalgpt.errors import ConfigError
from medicalgpt.models import adapters
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.known_tokens import known_tokens_of
from medicalgpt.models.load import Loaded
from medicalgpt.models.locate import Located, locate
from medicalgpt.models.optimize import optimize_for_training
from medicalgpt.models.passes import Passes
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.reward import RewardPolicy
from medicalgpt.models.scorer import same_base, scorer_of
from medicalgpt.models.shard import Sharding
from medicalgpt.runs.reward_report import RewardReport
from medicalgpt.training.policy import AUTOCAST, ask_batching, checkpointed, keep_trained, load_trained, mixed_precision
from medicalgpt.training.reference import open_reference
from medicalgpt.training.rl.roles import Roles, critic_ids
from medicalgpt.training.rl.scorers import (
    check_scorer,
    linear,
    separate_critic,
    separate_scorer,
)
from medicalgpt.training.rl.teacher import open_teacher
from medicalgpt.training.sharding import opened


def open_roles(config: RlConfig, sharding: Sharding | None = None) -> Roles:
    """Load everyone a stage needs; the critic's and the policy's weights are the trained ones.

    Raises:
        ModelError, ConfigError: a model that does not fit its role, with what to do.
    """
    base = locate(config.model.base, config.model.at, config.model.trust_remote_code)
    if base.is_adapter:
        raise ConfigError(
            f"model.base={config.model.base} is an adapter; the reference would be its base without it. Merge it first: a "
            "pipeline's or reward model's run has it in RUN/merged"
        )
    scoring = config.scoring
    where = scorer_of(scoring.model, scoring.model_commit) if scoring and scoring.model else None
    shared = _on_the_base(config, base, where, sharding)
    policy, loaded, heads = shared.policy, shared.loaded, shared.heads
    roles = Roles(loaded, policy, report=shared.report, notes=[shared.note], sharding=sharding)
    roles.autocast = AUTOCAST[mixed_precision(config)]
    if where is not None:
        roles.reward = heads.get("reward") or separate_scorer(where, config, sharding)
    if config.teacher is not None:
        roles.teacher = open_teacher(config.teacher, config, policy, loaded.tokenizer, sharding)
        policy.learn_from(roles.teacher)
    if config.critic is not None:
        roles.critic = heads.get("critic") or separate_critic(config, config.critic, base, where, sharding)
    if not config.lora.enabled:
        roles.reference = open_reference(config.model, config.quantization, policy.batching, sharding)
        roles.reference.temperature = policy.temperature
    # Everyone who speaks of an answer's probability means the distribution that it was drawn from.
    known = known_tokens_of(loaded.model, loaded.tokenizer)
    for speaker in (policy, roles.reference, roles.teacher):
        if speaker is not None:
            speaker.known = known
    have, four = roles.memory()
    roles.notes.append(f"weights {have / 1e6:.0f} MB; separate models for every role would take {four / 1e6:.0f} MB")
    if sharding is not None:
        roles.notes.append(sharding.note)
    return roles


@dataclass
class _Shared:
    """The policy, and the roles that live on its base: adapters with a head of their own."""

    loaded: Loaded
    policy: CausalPolicy
    heads: dict[str, RewardPolicy]
    report: RewardReport | None
    note: str = ""


def _on_the_base(config: RlConfig, base: Located, scorer: Located | None, sharding: Sharding | None) -> _Shared:
    """The policy's base with everyone who lives on it, asked how it may be batched."""
    shared = opened(sharding, lambda: _load(config, base, scorer, sharding))
    loaded, policy = shared.loaded, shared.policy
    found, shared.note = ask_batching(loaded, config, policy.passes.trial)
    policy.passes.free()
    policy.take(found.batching, found.chunked_head)
    for role in shared.heads.values():
        role.batching = policy.batching
    checkpointed(loaded, config)
    return shared


def _load(config: RlConfig, base: Located, scorer: Located | None, sharding: Sharding | None) -> _Shared:
    """Everyone on the policy's base; with `sharding`, what this process keeps of them.

    Trained are the policy's and the critic's weights, nothing else; no dropout anywhere, so that ratios start at 1.
    """
    loaded, scoring = load_trained(config, placed=sharding is None), config.scoring
    trained = {id(p) for p in loaded.model.parameters() if p.requires_grad}
    report = check_scorer(scoring, scorer, loaded.tokenizer) if scoring and scorer else None
    on_base = scorer is not None and config.lora.enabled and same_base(scorer, base, config.model.below.get)
    heads = _attach(loaded, config, scorer if on_base else None)
    optimize_for_training(loaded.model)  # before it is divided: it tries norms by writing into their weights
    policy = CausalPolicy(loaded.model)
    policy.temperature = config.rollout.temperature
    if "critic" in heads:
        trained |= critic_ids(heads["critic"])
    for part in (policy, *heads.values()):
        keep_trained(part, trained)
    if sharding is not None:
        parts = (policy, *heads.values())
        policy.passes = Passes.divided(sharding, loaded.model, *parts, widen=loaded.widen)
        for role in heads.values():
            role.passes = policy.passes
    return _Shared(loaded, policy, heads, report)


def _attach(loaded: Loaded, config: RlConfig, scorer: Located | None) -> dict[str, RewardPolicy]:
    """Adapters of the other roles on the policy's base, before its layers are tuned."""
    out: dict[str, RewardPolicy] = {}
    model = loaded.model
    if scorer is not None:
        score = adapters.add_scorer(model, "reward", scorer)
        out["reward"] = RewardPolicy(model, head=linear(score), adapter="reward")
    if config.critic is not None and config.lora.enabled:
        if config.critic.critic_init == "reward":
            if scorer is None:
                raise ConfigError(
                    "objective.critic_init=reward: the reward model is no adapter of the policy's base, so it cannot be the "
                    "critic's start on that base; use critic_init=base, or lora.enabled=false"
                )
            head = linear(adapters.add_scorer(model, "critic", scorer))
        else:
            adapters.add_fresh(model, "critic", config.lora)
            head = linear(torch.zeros(1, _width(model)))
        out["critic"] = RewardPolicy(model, head=head, adapter="critic")
    for role in out.values():
        role.head = cast(nn.Module, role.head).to(_device(model))
    return out


def _width(model: nn.Module) -> int:
    return int(unwrap(model).config.get_text_config().hidden_size)


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
