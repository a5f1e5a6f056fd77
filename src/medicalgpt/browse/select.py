"""Which of the found runs are shown, and in which order."""

from collections.abc import Collection, Sequence

from medicalgpt.browse.info import RunInfo
from medicalgpt.config.near_names import did_you_mean
from medicalgpt.errors import RunError

_ORDERS = ("name", "stage", "state", "changed", "size", "seconds", "tokens", "rows")


def chosen(
    found: Sequence[RunInfo],
    *,
    text: str = "",
    kinds: Collection[str] = (),
    stages: Collection[str] = (),
    states: Collection[str] = (),
) -> list[RunInfo]:
    """Those of these kinds, stages and states (none: all) that have `text` in name, base, data or note, in any case."""
    needle = text.casefold()
    return [
        one
        for one in found
        if (not kinds or one.kind in kinds)
        and (not stages or set(one.stage.split(" → ")) & set(stages))
        and (not states or one.state in states)
        and (not needle or any(needle in field.casefold() for field in (one.name, one.base, one.note, *one.data)))
    ]


def ordered(found: Sequence[RunInfo], by: str = "name", descending: bool = False) -> list[RunInfo]:
    """Sorted by a column, or by a held-out number or test such as eval/loss; runs without it come last.

    Raises:
        RunError: no run has a number of that name.
    """
    numbers = {number.name for one in found for number in one.measured}
    if by not in _ORDERS and by not in numbers:
        if not found:
            return []
        known = [*_ORDERS, *sorted(numbers)]
        raise RunError(f"nothing can be sorted by '{by}'; allowed: {', '.join(known)}{did_you_mean(by, known)}")
    keys = {id(one): _key(one, by) for one in found}
    with_key = [one for one in found if keys[id(one)] is not None]
    with_key.sort(key=lambda one: keys[id(one)] or (), reverse=descending)
    return with_key + [one for one in found if keys[id(one)] is None]


def _key(one: RunInfo, by: str) -> tuple[float | str, ...] | None:
    """What is sorted by, as a tuple of one value; None where a run has none."""
    if by == "changed":
        return (one.changed.timestamp(),) if one.changed else None
    if by in _ORDERS:
        value = getattr(one, by)
        return None if value is None or value == "" else (value,)
    value = next((number.values.get("after") for number in one.measured if number.name == by), None)
    return None if value is None else (value,)
