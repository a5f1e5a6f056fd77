"""Rotary positions stretched beyond the context that a model was trained in, and those that depend on what lies beside a row.

`linear` divides every position by the factor (arXiv 2306.15595), `yarn` only the slow frequencies and sharpens attention (arXiv
2309.00071). Both are the same for every row. With `dynamic` and `longrope` transformers takes the frequencies of a whole batch from its
longest row: a short row would have other numbers beside a long one than alone.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from transformers import PreTrainedConfig

from medicalgpt.config.sections import ModelConfig
from medicalgpt.errors import ModelError
from medicalgpt.models.locate import Located, read_config

FILE: Final = "rope_scaling.json"  # beside an adapter, whose own config cannot say how its base is to be read

BY_LENGTH: Final = frozenset({"dynamic", "longrope"})
"""Kinds whose frequencies follow from the longest position of what a model sees at once."""


class RopeScaling(BaseModel):
    """How positions are stretched: for a context `factor` times longer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["linear", "yarn"]
    factor: float = Field(gt=1, allow_inf_nan=False)


def asked_of(config: ModelConfig) -> RopeScaling | None:
    """What a configuration asks for; None for the base's own positions."""
    if config.rope_scaling is None or config.rope_factor is None:
        return None
    return RopeScaling(type=config.rope_scaling, factor=config.rope_factor)


def stretch(config: PreTrainedConfig, scaling: RopeScaling, where: str) -> None:
    """Write a scaling into a model's config, as transformers and other programs read it.

    Raises:
        ModelError: the model has no rotary positions, several kinds of them, or scaled ones.
    """
    said = f"model.rope_scaling={scaling.type}: {where}"
    config.standardize_rope_params()
    rope, context = getattr(config, "rope_parameters", None), getattr(config, "max_position_embeddings", None)
    if not isinstance(rope, dict) or not isinstance(context, int) or "rope_theta" not in rope:
        raise ModelError(
            f"{said} has no rotary positions of one kind that could be stretched; leave rope_scaling and rope_factor out"
        )
    if (kind := rope.get("rope_type", "default")) != "default":
        raise ModelError(
            f"{said} has scaled positions already (rope_type={kind}); leave rope_scaling and rope_factor out"
        )
    known = {"original_max_position_embeddings": context} if scaling.type == "yarn" else {}
    config.rope_parameters = {**rope, "rope_type": scaling.type, "factor": scaling.factor, **known}
    config.max_position_embeddings = int(context * scaling.factor)


def write_scaling(folder: Path, scaling: RopeScaling) -> None:
    """Keep a scaling beside an adapter."""
    (folder / FILE).write_text(scaling.model_dump_json() + "\n", encoding="utf-8")


def scaling_of(adapter: Located) -> RopeScaling | None:
    """The scaling that an adapter was trained with; None for the base's own positions.

    Raises:
        ModelError: its file holds something else.
    """
    file = Path(adapter.folder) / FILE
    if not file.is_file():
        return None
    found = read_config(file)
    try:
        return RopeScaling.model_validate(found)
    except ValueError as error:
        raise ModelError(
            f"{file} holds no scaling of positions ({json.dumps(found)[:100]}); copy the adapter again"
        ) from error


def agreed(asked: RopeScaling | None, adapter: Located | None) -> RopeScaling | None:
    """The scaling for a base with an adapter on it: what was asked for, or the adapter's.

    Raises:
        ModelError: the two differ.
    """
    own = scaling_of(adapter) if adapter is not None else None
    if asked is not None and own is not None and asked != own:
        raise ModelError(
            f"model.rope_scaling is {asked.type} × {asked.factor:g}, but the adapter was trained with {own.type} × {own.factor:g}; "
            "leave the keys out"
        )
    return asked or own


def kinds(config: object) -> Iterator[str]:
    """The kinds of rotary positions that a config names; some families have one for each kind of layer."""
    for one in _parameters(config):
        yield str(_kind(one) or "")


def same_for_all(config: object) -> int | None:
    """Most tokens up to which the positions of a row are the same whatever lies beside it; None without a limit."""
    limits = [one.get("original_max_position_embeddings") for one in _parameters(config) if _kind(one) == "longrope"]
    limits += [getattr(config, "original_max_position_embeddings", None)] if "longrope" in kinds(config) else []
    found = [limit for limit in limits if isinstance(limit, int) and limit > 0]
    return min(found) if found else None


def _kind(one: Mapping[str, object]) -> object:
    return one.get("rope_type", one.get("type"))


def _parameters(config: object) -> Iterator[Mapping[str, object]]:
    for name in ("rope_parameters", "rope_scaling"):
        found = getattr(config, name, None)
        if isinstance(found, Mapping):
            yield from (found, *(value for value in found.values() if isinstance(value, Mapping)))
