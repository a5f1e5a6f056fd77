"""The stage table: a stage's name, its config class and the objective that a config asks for.

What else tells stages apart are facts of their config class (`config.base.StageConfig`) and the objective's `needs`.
"""

import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from medicalgpt.config.base import StageConfig, SupervisedConfig
from medicalgpt.config.rl import KlObjective, RlConfig
from medicalgpt.config.stages import (
    STAGES as CONFIGS,
)
from medicalgpt.config.stages import (
    DistillConfig,
    DpoConfig,
    GrpoConfig,
    KtoConfig,
    OrpoConfig,
    PpoConfig,
    PtConfig,
    RlooConfig,
    RmConfig,
    SftConfig,
    SimpoConfig,
    stage_name,
)
from medicalgpt.errors import ConfigError
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.reward import RewardPolicy
from medicalgpt.objectives.base import Objective
from medicalgpt.objectives.distill import Distillation
from medicalgpt.objectives.dpo import DirectPreference
from medicalgpt.objectives.grpo import GroupRelative
from medicalgpt.objectives.kto import UnpairedFeedback
from medicalgpt.objectives.language import Pretraining, SupervisedFineTuning
from medicalgpt.objectives.orpo import OddsRatioPreference
from medicalgpt.objectives.ppo import ClippedPolicy
from medicalgpt.objectives.reward import RewardModeling
from medicalgpt.objectives.rloo import LeaveOneOut
from medicalgpt.objectives.simpo import SimplePreference
from medicalgpt.rendering.batch import TreeBatch

C = TypeVar("C", bound=StageConfig)
StageObjective = Objective[Any, TreeBatch]
"""An objective of some stage; which kind of policy it takes is that stage's own."""

_NAME = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True)
class Stage:
    """One line of the table; `objective` makes the objective from a checked config of that class."""

    config: type[StageConfig]
    objective: Callable[[Any], StageObjective]


def _language(config: type[C], objective: Callable[[C], Objective[CausalPolicy, TreeBatch]]) -> Stage:
    return Stage(config, objective)


def _scoring(config: type[C], objective: Callable[[C], Objective[RewardPolicy, TreeBatch]]) -> Stage:
    return Stage(config, objective)


def _bounds(o: KlObjective) -> tuple[float, float]:
    """How far below and above 1 the ratio is clipped."""
    return o.clip, o.clip if o.clip_high is None else o.clip_high


def _dpo(config: DpoConfig) -> DirectPreference[TreeBatch]:
    o = config.objective
    return DirectPreference(o.beta, o.loss, o.label_smoothing, o.length_normalized, o.sft_weight)


def _kto(config: KtoConfig) -> UnpairedFeedback[TreeBatch]:
    o = config.objective
    return UnpairedFeedback(o.beta, o.desirable_weight, o.undesirable_weight)


def _rm(config: RmConfig) -> RewardModeling[TreeBatch]:
    o = config.objective
    return RewardModeling(o.margin, o.center, o.label_smoothing)


def _grpo(config: GrpoConfig) -> GroupRelative[TreeBatch]:
    o = config.objective
    bounds = (o.sequence_clip, o.sequence_clip_high) if o.ratio == "sequence" else _bounds(o)
    return GroupRelative(*bounds, o.beta, o.loss_type, o.scale, o.ratio, config.rollout.max_new_tokens)


STAGES: dict[str, Stage] = {
    "pt": _language(PtConfig, lambda config: Pretraining()),
    "sft": _language(SftConfig, lambda config: SupervisedFineTuning()),
    "dpo": _language(DpoConfig, _dpo),
    "orpo": _language(OrpoConfig, lambda config: OddsRatioPreference(config.objective.weight)),
    "simpo": _language(SimpoConfig, lambda config: SimplePreference(config.objective.beta, config.objective.gamma)),
    "kto": _language(KtoConfig, _kto),
    "rm": _scoring(RmConfig, _rm),
    "ppo": _language(PpoConfig, lambda config: ClippedPolicy(*_bounds(config.objective), config.objective.entropy)),
    "rloo": _language(RlooConfig, lambda config: LeaveOneOut(*_bounds(config.objective))),
    "grpo": _language(GrpoConfig, _grpo),
    "distill": _language(DistillConfig, lambda config: Distillation(config.objective.divergence, config.objective.mix)),
}


def register_stage(name: str, config: type[C], objective: Callable[[C], StageObjective]) -> None:
    """Add a stage from outside the package: `medicalgpt train NAME` and pipelines know it from then on.

    Args:
        name: small letters, digits, `-` and `_`.
        config: its class, below `config.base.SupervisedConfig` (rows from files) or `config.rl.RlConfig` (the model's own
            answers), with the facts of the stage as class variables.
        objective: makes the `objectives.base.Objective` from a checked config.

    Raises:
        ConfigError: the name or the class is taken, or one of the three is not what it must be.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"stage name {name!r}: write small letters, digits, - and _, a letter first")
    if name in STAGES:
        raise ConfigError(
            f"stage {name!r} exists already ({STAGES[name].config.__name__}); choose another name than {', '.join(STAGES)}"
        )
    if not (inspect.isclass(config) and issubclass(config, SupervisedConfig | RlConfig)):
        raise ConfigError(
            f"stage {name!r}: {config!r} is no config class; write a subclass of medicalgpt.extend.SupervisedConfig or "
            "medicalgpt.extend.RlConfig"
        )
    if known := [other for other, stage in STAGES.items() if stage.config is config]:
        raise ConfigError(f"stage {name!r}: {config.__name__} belongs to stage {known[0]!r}; write a subclass of it")
    if not callable(objective):
        raise ConfigError(f"stage {name!r}: {objective!r} is no function from a config to its objective")
    STAGES[name], CONFIGS[name] = Stage(config, objective), config


def unregister_stage(name: str) -> None:
    """Take a registered stage out of the table again."""
    del STAGES[name], CONFIGS[name]


def objective_of(config: StageConfig) -> StageObjective:
    """The objective a config asks for.

    Raises:
        ConfigError: a registered factory returned something else.
    """
    name = stage_name(config)
    found = STAGES[name].objective(config)
    if not isinstance(found, Objective):
        raise ConfigError(
            f"stage {name!r}: its factory returned {type(found).__name__}; it must return an instance of a subclass of "
            "medicalgpt.extend.Objective"
        )
    return found


def policy_objective(config: RlConfig, beta: float | None = None) -> StageObjective:
    """What the policy minimizes on its own answers; `beta` is the current KL weight where it is adapted."""
    if beta is not None and config.kl is not None:
        config = config.model_copy(update={"objective": config.objective.model_copy(update={"beta": beta})})
    return objective_of(config)


def sources(config: StageConfig) -> dict[str, bytes]:
    """What outside this package defines a stage, by name: whole files, or the text of what was typed into a notebook.

    It decides what a run computes, as data and base do.
    """
    stage, package = STAGES[stage_name(config)], Path(__file__).resolve().parents[1]
    found: dict[str, bytes] = {}
    for part in (stage.config, stage.objective, type(objective_of(config))):
        file = getattr(sys.modules.get(str(getattr(part, "__module__", ""))), "__file__", None)
        path = Path(file).resolve() if file else None
        if path is not None and path.is_file():
            if package not in path.parents:
                found[path.name] = path.read_bytes()
        else:
            found[str(getattr(part, "__qualname__", part))] = _typed(part).encode()
    return dict(sorted(found.items()))


def _typed(part: Any) -> str:
    """The text of a class or function that no file holds; its byte code where nobody kept the text."""
    try:
        return inspect.getsource(part)
    except (OSError, TypeError):
        codes = [value.__code__ for value in (part, *vars(part).values()) if inspect.isfunction(value)]
        plain = [
            (k, v) for k, v in vars(part).items() if isinstance(v, str | int | float | tuple) and not k.startswith("_")
        ]
        # The code of an inner function is shown with its address, which says nothing.
        return repr(
            [plain, *((c.co_code, c.co_names, [x for x in c.co_consts if not inspect.iscode(x)]) for c in codes)]
        )
