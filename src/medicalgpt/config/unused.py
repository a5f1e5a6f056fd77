"""Keys that somebody set and that do nothing beside others: said, not refused, for the config of every earlier run names all keys."""

from collections.abc import Iterator
from typing import TypeVar

from pydantic import BaseModel

from medicalgpt.config.base import StageConfig
from medicalgpt.config.loader import Resolved
from medicalgpt.config.sections import DataConfig

C = TypeVar("C", bound=BaseModel)


def unused(resolved: Resolved[C]) -> Iterator[str]:
    """A warning for each; a stage's defaults, as a run's config.resolved.yaml writes them out, are none."""
    config = resolved.value
    if not isinstance(config, StageConfig):
        return
    share, usual = config.data.eval_fraction, DataConfig.model_fields["eval_fraction"].default
    asked = resolved.origin["data.eval_fraction"] == "override" or share != usual
    if config.data.eval and asked and share > 0:
        yield (
            f"warning: data.eval_fraction={share:g} is not used, for data.eval names the held-out rows and nothing of data.train is "
            "held out; leave one of the two out"
        )
