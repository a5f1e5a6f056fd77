"""Finding things by name, with "did you mean" when the name is nearly right."""

from collections.abc import Iterable
from difflib import get_close_matches

from medicalgpt.config.base import StageConfig
from medicalgpt.config.curation import CURATE, CurateConfig
from medicalgpt.config.sections import Section
from medicalgpt.config.stages import STAGES
from medicalgpt.errors import ConfigError


def close_names(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Known names that look like `name`, best first; upper and lower case count as the same letter."""
    by_lower = {option.lower(): option for option in known}
    return [by_lower[match] for match in get_close_matches(name.lower(), by_lower, n=most, cutoff=0.6)]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ "; did you mean 'x'?" ready to be appended to a message, or "" when nothing looks like `name`."""
    found = close_names(name, known)
    return f"; did you mean {' or '.join(repr(option) for option in found)}?" if found else ""


def schema_of(name: str) -> type[Section]:
    """The config class of a training stage, or of a curation. Raises ConfigError as `stage_schema`."""
    return CurateConfig if name == CURATE else stage_schema(name)


def stage_schema(stage: str) -> type[StageConfig]:
    """The config class of a training stage. Raises ConfigError for an unknown stage."""
    if stage not in STAGES:
        raise ConfigError(f"unknown stage '{stage}'; stages are {', '.join(STAGES)}{did_you_mean(stage, STAGES)}")
    return STAGES[stage]
