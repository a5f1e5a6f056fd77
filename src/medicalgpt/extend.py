"""What a stage of your own is written with: the objective's contract, config classes to start from, and `register_stage`.

See docs/training.md, "A stage of your own".
"""

from medicalgpt.config.base import StageConfig, SupervisedConfig
from medicalgpt.config.rl import RlConfig
from medicalgpt.config.sections import Section, TrainConfig
from medicalgpt.config.stages import PairConfig
from medicalgpt.objectives.base import (
    B,
    Batch,
    Critic,
    LanguagePolicy,
    LossOut,
    Needs,
    Objective,
    PairObjective,
    RolloutTargets,
    Scorer,
    Student,
    TokenObjective,
    share_above_zero,
)
from medicalgpt.objectives.segments import pair_means, segment_sums
from medicalgpt.training.stages import register_stage

__all__ = [
    "B",
    "Batch",
    "Critic",
    "LanguagePolicy",
    "LossOut",
    "Needs",
    "Objective",
    "PairConfig",
    "PairObjective",
    "RlConfig",
    "RolloutTargets",
    "Scorer",
    "Section",
    "StageConfig",
    "Student",
    "SupervisedConfig",
    "TokenObjective",
    "TrainConfig",
    "pair_means",
    "register_stage",
    "segment_sums",
    "share_above_zero",
]
