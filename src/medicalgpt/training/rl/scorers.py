"""Reward models and critics: which may be one, and those that are models of their own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medicalgpt.config.rewards import RewardConfig
from medicalgpt.config.rl import PpoObjective, RlConfig
from medicalgpt.config.sections import ModelConfig
from medicalgpt.errors import ConfigError
from medicalgpt.models import adapters
from medicalgpt.models.load import load, load_tokenizer
from medicalgpt.models.locate import Located
from medicalgpt.models.merge import merge_adapter
from medicalgpt.models.passes import Passes
from medicalgpt.models.reward import RewardPolicy, probe_scores
from medicalgpt.models.shard import Sharding
from medicalgpt.models.trial import Trial
from medicalgpt.rendering.build import tokenizer_hash
from medicalgpt.rewards.reward_model import require_scorer
from medicalgpt.runs.reward_report import FILE, RewardReport, read_report
from medicalgpt.training.placing import place
from medicalgpt.training.policy import keep_trained
from medicalgpt.training.rl.roles import critic_ids
from medicalgpt.training.sharding import opened


def check_scorer(config: RewardConfig, where: Located, tokenizer: Any) -> RewardReport | None:
    """Refuse a reward model that reads other tokens or was not shown to be better than a coin.

    Raises:
        ConfigError: with its numbers and the key that overrides.
    """
    theirs = load_tokenizer(where.folder)
    if tokenizer_hash(theirs) != tokenizer_hash(tokenizer):
        raise ConfigError(
            f"reward.model={config.model} has another tokenizer ({len(theirs)} tokens) than the policy ({len(tokenizer)}); "
            "it would read other words than the policy wrote. Train it on a model of the policy's family"
        )
    report = read_report(Path(where.folder))
    if config.allow_weak_model:
        return report
    if report is None:
        raise ConfigError(
            f"reward.model={config.model} has no {FILE}: nobody knows how often it is right. Train it with "
            "`medicalgpt train rm` and held-out pairs, or set reward.allow_weak_model=true"
        )
    accuracy = report.accuracy
    if accuracy.low <= 0.5:
        raise ConfigError(
            f"reward.model={config.model} is right on {accuracy.value:.1%} of {accuracy.rows} held-out pairs, 95 % interval "
            f"[{accuracy.low:.1%}, {accuracy.high:.1%}]: not shown to be better than a coin. Give it more or clearer "
            "pairs, or set reward.allow_weak_model=true"
        )
    return report


def linear(weight: torch.Tensor) -> nn.Linear:
    """A head of width 1 with bias, in fp32."""
    head = nn.Linear(weight.shape[1], 1, device=weight.device)
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.zero_()
    return head


def separate_scorer(where: Located, config: RlConfig, sharding: Sharding | None) -> RewardPolicy:
    """A frozen reward model of its own.

    Raises:
        ModelError: it never learned to score.
    """

    def load_own() -> RewardPolicy:
        return _kept(RewardPolicy(_load(where, config, False, sharding is None)), set(), sharding)

    return _asked(config, sharding, load_own)


def separate_critic(
    config: RlConfig, critic_config: PpoObjective, base: Located, scorer: Located | None, sharding: Sharding | None
) -> RewardPolicy:
    """A critic with weights of its own, for full training."""
    as_scorer = critic_config.critic_init == "reward"
    start = scorer if as_scorer else base
    assert start is not None

    def load_own() -> RewardPolicy:
        inner: Any = _load(start, config, True, sharding is None, scores=as_scorer)
        score = inner.score.weight.detach()
        critic = RewardPolicy(inner, head=linear(score if as_scorer else torch.zeros_like(score)))
        return _kept(critic, critic_ids(critic), sharding)

    critic = _asked(config, sharding, load_own)
    inner: Any = critic.model
    inner.score = nn.Identity()  # only now: its scores are what the model was asked by
    return critic


def _load(where: Located, config: RlConfig, trained: bool, placed: bool, scores: bool = True) -> nn.Module:
    """A classifier of its own; one that `scores` has to have learned it."""
    model = ModelConfig(
        base=where.address,
        dtype="float32" if trained else config.model.dtype,
        trust_remote_code=config.model.trust_remote_code,
        below=config.model.below,
    )
    scorer = load(model, head="score")
    if placed:
        place(scorer.model)
    if scores:
        require_scorer(scorer)
    return merge_adapter(scorer.model) if trained and adapters.is_adapted(scorer.model) else scorer.model


def _kept(policy: RewardPolicy, trained: set[int], sharding: Sharding | None) -> RewardPolicy:
    """What this process keeps of it."""
    keep_trained(policy, trained)
    if sharding is not None:
        policy.passes = Passes.divided(sharding, policy.model, policy)
    return policy


def _asked(config: RlConfig, sharding: Sharding | None, load_own: Callable[[], RewardPolicy]) -> RewardPolicy:
    """A scorer that was asked how it may be batched."""
    policy = opened(sharding, load_own)
    found = probe_scores(policy.model, config.train.batching, Trial(run=policy.passes.trial))
    policy.passes.free()
    policy.batching = found.batching
    return policy
