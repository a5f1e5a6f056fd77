"""Config classes by the name of a stage."""

from medicalgpt.config.base import StageConfig
from medicalgpt.config.curation import CURATE, CurateConfig
from medicalgpt.config.near_names import did_you_mean
from medicalgpt.config.sections import Section
from medicalgpt.config.stages import STAGES
from medicalgpt.errors import ConfigError


def schema_of(name: str) -> type[Section]:
    """The config class of a training stage, or of a curation. Raises ConfigError as `stage_schema`."""
    return CurateConfig if name == CURATE else stage_schema(name)


def stage_schema(stage: str) -> type[StageConfig]:
    """The config class of a training stage. Raises ConfigError for an unknown stage."""
    if stage not in STAGES:
        raise ConfigError(f"unknown stage '{stage}'; stages are {', '.join(STAGES)}{did_you_mean(stage, STAGES)}")
    return STAGES[stage]
