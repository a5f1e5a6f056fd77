"""From what a reward gave back to one float for each answer."""

import math
from collections.abc import Iterable, Mapping, Set, Sized
from itertools import islice
from typing import Any, Final, cast

LARGEST: Final = 1e15
"""Beyond it the squares that advantages and critics are made of leave the range of float32."""

NO_LIST: Final = "did not give a list of numbers"


class BadScores(Exception):
    """What is wrong with the scores, in words that quote none of them."""


def as_numbers(found: object, count: int) -> list[float]:
    """Scores as floats: of a list, tuple, array, tensor or iterator; NaN and infinity pass, as their rows are named later.

    Of an iterator one more than `count` is read, so that one without end is too long and nothing worse.

    Raises:
        BadScores: no sequence (texts, objects and sets are none), or something in it is no number, or too large for one.
    """
    try:
        if isinstance(found, str | bytes | Mapping | Set):
            raise TypeError
        values = iter(cast(Iterable[object], found))
    except TypeError:
        raise BadScores(
            f"{NO_LIST} but {_kind(found)}; it must give one number for each completion, in order"
        ) from None
    read = values if isinstance(found, Sized) else islice(values, count + 1)
    return [_number(value, place) for place, value in enumerate(read, 1)]


def too_large(value: float) -> bool:
    """Finite, but so large that what is computed from it would not be."""
    return math.isfinite(value) and abs(value) > LARGEST


def _number(value: Any, place: int) -> float:
    if isinstance(value, list | tuple) and len(value) == 1:  # a column of numbers
        value = value[0]
    item = getattr(value, "item", None)  # arrays and tensors of one element, wherever they lie
    try:
        plain = item() if callable(item) else value
        if plain is None or isinstance(plain, str | bytes):
            raise TypeError
        return float(plain)
    except OverflowError:
        raise BadScores(f"{NO_LIST}: number {place} is too large for a float; allowed: ±{LARGEST:g}") from None
    except (TypeError, ValueError, RuntimeError):
        hint = "; give 0 where the reward does not apply" if value is None else ""
        raise BadScores(f"{NO_LIST}: number {place} is {_kind(value)}{hint}") from None


def _kind(value: object) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"
