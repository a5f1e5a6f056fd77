"""Addresses of hubs at one commit for a whole run: found out when it begins, and kept in its folder's config."""

from pathlib import Path
from typing import Any

from medicalgpt.config.data_source import DataSource, path_of
from medicalgpt.config.loader import Resolved, load
from medicalgpt.config.sections import DataConfig
from medicalgpt.data.sources import pinned
from medicalgpt.errors import ConfigError
from medicalgpt.hub.address import is_commit, parse
from medicalgpt.runs.folder import RunFolder

_LISTS = ("train", "eval", "replay")


def pin(resolved: Resolved[Any]) -> tuple[Resolved[Any], list[str]]:
    """The config with the commit of every address in its data section, and what is to be said of those that were known.

    A run that goes on, or is asked for again, reads the commit that its folder's config names, also without a network.

    Raises:
        DataError: an address's commit cannot be found out.
    """
    config = resolved.value
    data: DataConfig = config.data
    if not any(parse(path_of(entry)) for name in _LISTS for entry in getattr(data, name)):
        return resolved, []
    before = _before(type(config), RunFolder(config.output_dir).config)
    notes: list[str] = []
    found = {}
    for name in _LISTS:
        known = getattr(before, name) if before is not None else []
        found[name] = [pinned(entry, known) for entry in getattr(data, name)]
        notes += [_note(new) for old, new in zip(getattr(data, name), found[name]) if new in known and _moves(old)]
    value = config.model_copy(update={"data": data.model_copy(update=found)})
    return Resolved(value, resolved.origin), notes


def _before(schema: type[Any], file: Path) -> DataConfig | None:
    if not file.is_file():
        return None
    try:
        found: DataConfig = load(schema, file).value.data
    except (ConfigError, OSError):
        return None
    return found


def _moves(entry: str | DataSource) -> bool:
    """Whether an entry names an address whose commit may be another one later."""
    address = parse(path_of(entry))
    fixed = isinstance(entry, DataSource) and entry.commit is not None
    return address is not None and not fixed and not is_commit(address.revision)


def _note(entry: str | DataSource) -> str:
    commit = entry.commit if isinstance(entry, DataSource) else None
    return f"{path_of(entry)}: read at commit {commit}, as when this run began; choose another output_dir for what is there now"
