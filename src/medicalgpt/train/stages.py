"""From a stage's name to its config and its objective."""

from medicalgpt.config.base import StageConfig
from medicalgpt.config.rl import DistillConfig, GrpoConfig, PpoConfig, RlConfig, RlooConfig
from medicalgpt.config.stages import (
    STAGES,
    DpoConfig,
    KtoConfig,
    OrpoConfig,
    PtConfig,
    RmConfig,
    SftConfig,
    SimpoConfig,
)
from medicalgpt.objectives.base import Objective
from medicalgpt.objectives.distill import Distillation
from medicalgpt.objectives.dpo import DirectPreference
from medicalgpt.objectives.grpo import GroupRelative
from medicalgpt.objectives.kto import UnpairedFeedback
from medicalgpt.objectives.language import Pretraining, SupervisedFineTuning
from medicalgpt.objectives.orpo import OddsRatioPreference
from medicalgpt.objectives.ppo import ClippedPolicy
from medicalgpt.objectives.reward import RewardModelling
from medicalgpt.objectives.rloo import LeaveOneOut
from medicalgpt.objectives.simpo import SimplePreference


def stage_name(config: StageConfig) -> str:
    """The stage's short name."""
    return next(name for name, schema in STAGES.items() if type(config) is schema)


def objective_of(config: StageConfig) -> Objective:
    """The objective a config asks for."""
    if isinstance(config, PtConfig):
        return Pretraining()
    if isinstance(config, SftConfig):
        return SupervisedFineTuning()
    if isinstance(config, RmConfig):
        r = config.objective
        return RewardModelling(r.margin, r.centre, r.label_smoothing)
    if isinstance(config, OrpoConfig):
        return OddsRatioPreference(config.objective.weight)
    if isinstance(config, RlConfig):
        return policy_objective(config)
    if isinstance(config, SimpoConfig):
        return SimplePreference(config.objective.beta, config.objective.gamma)
    if isinstance(config, KtoConfig):
        k = config.objective
        return UnpairedFeedback(k.beta, k.desirable_weight, k.undesirable_weight)
    assert isinstance(config, DpoConfig)
    o = config.objective
    return DirectPreference(o.beta, o.loss, o.label_smoothing, o.length_normalised, o.sft_weight)


def policy_objective(config: RlConfig, beta: float | None = None) -> Objective:
    """What the policy minimises on its own answers; `beta` is the current one where it is adapted."""
    if isinstance(config, DistillConfig):
        return Distillation(config.objective.divergence, config.objective.mix)
    assert isinstance(config, PpoConfig | RlooConfig | GrpoConfig)
    o = config.objective
    high = o.clip if o.clip_high is None else o.clip_high
    if isinstance(config, PpoConfig):
        return ClippedPolicy(o.clip, high, config.objective.entropy)
    if isinstance(config, RlooConfig):
        return LeaveOneOut(o.clip, high)
    return GroupRelative(o.clip, high, o.beta if beta is None else beta, config.objective.reduce)
