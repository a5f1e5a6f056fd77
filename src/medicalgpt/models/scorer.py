"""Where a reward model lies, and whether it can live on a policy's base; told from folders and configs alone."""

from pathlib import Path

from medicalgpt.models.adapter_config import FILE, NO_PINS, Pins, pinned_base
from medicalgpt.models.locate import Located, locate

MERGED_FROM = "merged_from.txt"  # in a run's merged model, the hash of the manifest that the run had then


def scorer_of(path: str, commit: str | None = None) -> Located:
    """The reward model, of a hub at a commit; the adapter of a run whose merged folder was named, as it can share the policy's base."""
    place = Path(path).expanduser()
    beside = place.parent / "model"
    if (place / MERGED_FROM).is_file() and (beside / FILE).is_file():
        return locate(str(beside))
    return locate(path, commit)


def same_base(scorer: Located, base: Located, pins: Pins = NO_PINS) -> bool:
    """Whether it is an adapter of that base, and one that may lie there beside others.

    Args:
        pins: as for `adapter_config.down_to_base`.
    """
    from medicalgpt.models.adapters import can_share  # lazy: heavy

    if scorer.kind != "adapter" or not can_share(scorer):
        return False
    theirs = locate(pinned_base(scorer, pins))
    return Path(theirs.folder).resolve() == Path(base.folder).resolve()
