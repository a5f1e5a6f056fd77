"""The models that the page can ask: one, or a base and its adapters by name."""

from collections.abc import Sequence
from dataclasses import dataclass

from medicalgpt.generate.live.engine import BatchingEngine
from medicalgpt.serve.web.info import ModelInfo


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model under the name by which readers choose it. `context` is the most tokens of prompt and answer, None without
    a limit.
    """

    name: str
    live: BatchingEngine
    context: int | None
    info: ModelInfo


MOST_COMPARED = 3
"""Answers that fit beside each other."""


def chosen_of(models: Sequence[ServedModel], names: Sequence[str]) -> list[ServedModel]:
    """The models of these names, in the page's order; what is no name of one is left out, and so is whatever is too much."""
    return [model for model in models if model.name in names][:MOST_COMPARED]
