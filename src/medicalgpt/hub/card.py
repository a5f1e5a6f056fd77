"""What a data set's card (README.md) says of its configurations: the YAML between its first two lines of dashes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import yaml

from medicalgpt.errors import DataError

MOST_BYTES: Final = 8 << 20
_MOST: Final = 10_000  # configurations, and patterns of one


@dataclass(frozen=True, slots=True)
class Configuration:
    """A named part of a data set: patterns of each split's files, None where the files' names tell; the folder they lie in."""

    name: str
    splits: Mapping[str, tuple[str, ...]] | None = None
    folder: str = ""
    default: bool = False


def configurations(card: bytes, place: str) -> list[Configuration]:
    """What `configs:` lists; nothing where there is none.

    Raises:
        DataError: YAML that cannot be read, or entries of another form than the Hub documents.
    """
    text = card.decode("utf-8-sig", "replace")
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != "---" or "---" not in (rest := [line.rstrip() for line in lines[1:]]):
        return []
    try:
        found = yaml.safe_load("\n".join(rest[: rest.index("---")]))
    except (yaml.YAMLError, RecursionError, ValueError):
        raise DataError(
            f"{place}: the head of its README.md is no YAML; name the files: hf://owner/name/a/file"
        ) from None
    listed = found.get("configs") if isinstance(found, Mapping) else None
    if not listed:
        return []
    if not isinstance(listed, list) or len(listed) > _MOST:
        raise _odd(place)
    return [_configuration(entry, place) for entry in listed]


def _configuration(entry: object, place: str) -> Configuration:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("config_name"), str):
        raise _odd(place)
    folder = entry.get("data_dir") or ""
    if not isinstance(folder, str):
        raise _odd(place)
    files = entry.get("data_files")
    splits = None if files is None else _splits(files, place)
    return Configuration(
        entry["config_name"], splits, folder.removeprefix("./").strip("/"), entry.get("default") is True
    )


def _splits(files: object, place: str) -> dict[str, tuple[str, ...]]:
    """Any of the forms that are documented: one pattern, a list of them, by split, or a list of splits."""
    if isinstance(files, list) and files and all(isinstance(entry, Mapping) for entry in files):
        pairs = [(entry.get("split"), entry.get("path")) for entry in files]
    elif isinstance(files, Mapping):
        pairs = list(files.items())
    else:
        pairs = [("train", files)]
    found = {str(split): _patterns(paths, place) for split, paths in pairs}
    if len(found) < len(pairs) or len(pairs) > _MOST:
        raise _odd(place)
    return found


def _patterns(paths: object, place: str) -> tuple[str, ...]:
    listed = [paths] if isinstance(paths, str) else paths
    if not isinstance(listed, list) or len(listed) > _MOST or not all(isinstance(path, str) for path in listed):
        raise _odd(place)
    if any("://" in path for path in listed):
        raise DataError(
            f"{place}: its README.md names files outside of the data set, which are not fetched; name files of it yourself"
        )
    return tuple(path.removeprefix("./") for path in listed)


def _odd(place: str) -> DataError:
    return DataError(
        f"{place}: `configs` in its README.md has another form than the Hub documents; name the files: hf://owner/name/a/file"
    )
