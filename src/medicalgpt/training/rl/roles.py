"""The four roles of reinforcement learning: policy, reference, critic, reward model; one base for all of them with LoRA.

With LoRA the base lies in memory once: the policy is its adapter, the reference the base with adapters off, the critic a
second adapter with a value head, and the reward model a third adapter when it was trained on the same base.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from medicalgpt.config.rewards import RewardConfig
from medicalgpt.config.rl import PpoObjective, RlConfig
from medicalgpt.config.sections import ModelConfig
from medicalgpt.errors import ConfigError
from medicalgpt.models import adapters
from medicalgpt.models.adapter_config import base_name
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.excluded_modules import unreached_parameters
from medicalgpt.models.known_tokens import known_tokens_of
from medicalgpt.models.load import Loaded, load, load_tokenizer
from medicalgpt.models.locate import Located, locate
from medicalgpt.models.merge import merge_adapter
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.reward import RewardPolicy, probe_scores
from medicalgpt.rendering.batch import TreeBatch
from medicalgpt.rendering.build import tokenizer_hash
from medicalgpt.rewards.reward_model import require_scorer
from medicalgpt.runs.folder import MERGED_FROM
from medicalgpt.runs.reward_report import FILE, RewardReport, read_report
from medicalgpt.training.placing import place
from medicalgpt.training.policy import AUTOCAST, as_policy, load_trained, mixed_precision
from medicalgpt.training.reference import open_reference
from medicalgpt.training.rl.teacher import open_teacher


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

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """Number type of every forward pass over answers: the same where they are measured and where they are learned from,
        or the first ratios would not be 1."""
        device = next(self.policy.parameters()).device.type
        return torch.autocast(device, self.autocast, enabled=self.autocast is not None)

    def modules(self) -> list[nn.Module]:
        """Every distinct module that holds weights."""
        found = [self.policy, self.critic, self.reward, self.reference, self.teacher]
        return [m for m in found if m is not None]

    def trained(self) -> dict[str, nn.Parameter]:
        """Trained parameters by name: `policy.…` and `critic.…`, each once."""
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
        if self.critic is None:
            return set()
        own = self.critic.adapter
        named = self.critic.named_parameters()
        still = {id(p) for p in unreached_parameters(self.critic.model)} if own is None else set()
        found = {id(p) for n, p in named if own is None or f".{own}." in n or n.startswith("head.")}
        return found - still

    @torch.no_grad()
    def reference_logps(self, batch: TreeBatch) -> torch.Tensor:
        """log π_ref [N] at the batch's weighted positions."""
        if self.reference is not None:
            return self.reference.logps(batch)[0]
        with adapters.adapter_off(self.policy.model):
            return self.policy.logps(batch)[0]

    def memory(self) -> tuple[int, int]:
        """Bytes of weights in memory, and what four separate models would take."""
        base = unwrap(self.policy.model)
        one = _bytes(p for n, p in base.named_parameters() if ".lora_" not in n)
        roles = 2 + sum(role is not None for role in (self.critic, self.reward, self.teacher))
        extra = _bytes(p for n, p in base.named_parameters() if ".lora_" in n)
        return _bytes(p for m in self.modules() for p in m.parameters()), roles * one + extra


def _bytes(parameters: Iterable[nn.Parameter]) -> int:
    return sum({id(p): p.numel() * p.element_size() for p in parameters}.values())


def open_roles(config: RlConfig) -> Roles:
    """Load everyone a stage needs; the critic's and the policy's weights are the trained ones.

    Raises:
        ModelError, ConfigError: a model that does not fit its role, with what to do.
    """
    base = locate(config.model.base, config.model.revision, config.model.trust_remote_code)
    if base.is_adapter:
        raise ConfigError(
            f"model.base={config.model.base} is an adapter; the reference would be its base without it. Merge it first: a "
            "pipeline's or reward model's run has it in RUN/merged"
        )
    loaded = load_trained(config)
    learns = {id(p) for p in loaded.model.parameters() if p.requires_grad}
    scoring = config.scoring
    where = _scorer_of(scoring.model) if scoring and scoring.model else None
    shared = where is not None and config.lora.enabled and _same_base(where, base)
    report = _check_scorer(scoring, where, loaded.tokenizer) if scoring and where else None
    heads = _attach(loaded, config, where if shared else None)
    policy, note = as_policy(loaded, config)
    policy.temperature = config.rollout.temperature
    roles = Roles(loaded, policy, report=report, notes=[f"batching: {policy.batching}" + note.partition(" (")[2]])
    roles.autocast = AUTOCAST[mixed_precision(config)]
    if where is not None and scoring is not None:
        roles.reward = heads.get("reward") or _separate(where, config, trained=False, scores=True)
    if config.teacher is not None:
        roles.teacher = open_teacher(config.teacher, config, policy, loaded.tokenizer)
        policy.learn_from(roles.teacher)
    if config.critic is not None:
        roles.critic = heads.get("critic") or _separate_critic(config, config.critic, base, where)
    for role in (roles.reward, roles.critic):
        if role is not None and role.adapter is not None:
            role.batching = policy.batching
    if not config.lora.enabled:
        roles.reference = _reference(config, policy)
    # Everyone who speaks of an answer's probability means the distribution that it was drawn from.
    known = known_tokens_of(loaded.model, loaded.tokenizer)
    for speaker in (policy, roles.reference, roles.teacher):
        if speaker is not None:
            speaker.known = known
    _freeze(roles, learns)
    have, four = roles.memory()
    roles.notes.append(f"weights {have / 1e6:.0f} MB; separate models for every role would take {four / 1e6:.0f} MB")
    return roles


def _scorer_of(path: str) -> Located:
    """The reward model; the adapter of a run whose merged folder was named, as it can share the policy's base."""
    place = Path(path).expanduser()
    beside = place.parent / "model"
    if (place / MERGED_FROM).is_file() and (beside / "adapter_config.json").is_file():
        return locate(str(beside))
    return locate(path)


def _same_base(scorer: Located, base: Located) -> bool:
    if scorer.kind != "adapter" or not adapters.can_share(scorer):
        return False
    theirs = locate(base_name(scorer))
    return Path(theirs.path_or_id).resolve() == Path(base.path_or_id).resolve()


def _check_scorer(config: RewardConfig, where: Located, tokenizer: Any) -> RewardReport | None:
    """Refuse a reward model that reads other tokens or was not shown to be better than a coin.

    Raises:
        ConfigError: with its numbers and the key that overrides.
    """
    theirs = load_tokenizer(where.path_or_id, where.revision)
    if tokenizer_hash(theirs) != tokenizer_hash(tokenizer):
        raise ConfigError(
            f"reward.model={config.model} has another tokenizer ({len(theirs)} tokens) than the policy ({len(tokenizer)}); "
            "it would read other words than the policy wrote. Train it on a model of the policy's family"
        )
    report = read_report(Path(where.path_or_id))
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


def _attach(loaded: Loaded, config: RlConfig, scorer: Located | None) -> dict[str, RewardPolicy]:
    """Adapters of the other roles on the policy's base, before its layers are tuned."""
    out: dict[str, RewardPolicy] = {}
    model = loaded.model
    if scorer is not None:
        score = adapters.add_scorer(model, "reward", scorer)
        out["reward"] = RewardPolicy(model, head=_linear(score), adapter="reward")
    if config.critic is not None and config.lora.enabled:
        if config.critic.critic_init == "reward":
            if scorer is None:
                raise ConfigError(
                    "objective.critic_init=reward: the reward model is no adapter of the policy's base, so it cannot be the "
                    "critic's start on that base; use critic_init=base, or lora.enabled=false"
                )
            head = _linear(adapters.add_scorer(model, "critic", scorer))
        else:
            adapters.add_fresh(model, "critic", config.lora)
            head = _linear(torch.zeros(1, _width(model)))
        out["critic"] = RewardPolicy(model, head=head, adapter="critic")
    for role in out.values():
        role.head = cast(nn.Module, role.head).to(_device(model))
    return out


def _linear(weight: torch.Tensor) -> nn.Linear:
    """A head of width 1 with bias, in fp32."""
    head = nn.Linear(weight.shape[1], 1, device=weight.device)
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.zero_()
    return head


def _width(model: nn.Module) -> int:
    return int(unwrap(model).config.get_text_config().hidden_size)


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _separate(where: Located, config: RlConfig, trained: bool, scores: bool) -> RewardPolicy:
    """A model of its own; one that `scores` has to have learned it."""
    model = ModelConfig(
        base=where.path_or_id,
        revision=where.revision,
        dtype="float32" if trained else config.model.dtype,
        trust_remote_code=config.model.trust_remote_code,
    )
    scorer = load(model, head="score")
    place(scorer.model)
    if scores:
        require_scorer(scorer)
    inner: Any = scorer.model
    if trained and adapters.is_adapted(inner):
        inner = merge_adapter(inner)
    return RewardPolicy(inner, probe_scores(inner, config.train.batching).batching)


def _separate_critic(
    config: RlConfig, critic_config: PpoObjective, base: Located, scorer: Located | None
) -> RewardPolicy:
    """A critic with weights of its own, for full training."""
    as_scorer = critic_config.critic_init == "reward"
    start = scorer if as_scorer else base
    assert start is not None
    critic = _separate(start, config, trained=True, scores=as_scorer)
    inner: Any = critic.model
    score = inner.score.weight.detach()
    critic.head = _linear(score if as_scorer else torch.zeros_like(score))
    inner.score = nn.Identity()
    return critic


def _reference(config: RlConfig, policy: CausalPolicy) -> CausalPolicy:
    reference = open_reference(config.model, config.quantization, policy.batching)
    reference.temperature = policy.temperature
    return reference


def _freeze(roles: Roles, learns: set[int]) -> None:
    """Trained: the policy's and the critic's weights, nothing else; no dropout anywhere, so that ratios start at 1.

    learns: what of the policy was to be trained when it was loaded, rows of new tokens with it.
    """
    wanted = roles.critic_ids() | learns
    for module in roles.modules():
        module.eval()
        for parameter in module.parameters():
            parameter.requires_grad_(id(parameter) in wanted)
