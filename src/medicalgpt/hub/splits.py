"""Which files of a repository are which split, by the Hub's documented rules: its card, else names of files and folders."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

import regex

from medicalgpt.errors import DataError
from medicalgpt.hub.card import Configuration

Splits = dict[str, list[str]]
KindOf = Callable[[str], str]
"""The type of a file by its name, as data files are told apart; "" for one that is not read."""

DEFAULT: Final = "default"
_KEYWORDS: Final = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SHARD: Final = re.compile(r"data/(\w+(?:\.\w+)*)-[0-9]{5}-of-[0-9]{5}[^/]*\.[^/]*")
_ORDER: Final = (".parquet", ".jsonl", ".json", ".csv")  # in a draw
_PAPERS: Final = (".docx", ".pdf", ".html", ".htm", ".xml")  # about a data set oftener than in it
_NO_DATA: Final = {"config.json", "dataset_info.json", "dataset_infos.json", "dummy_data.zip", "dataset_dict.json"}
_LONGEST_PATTERN: Final = 512
_PATIENCE: Final = 1.0  # seconds for one pattern on one name


def splits_of(
    names: Sequence[str], listed: Sequence[Configuration], kind_of: KindOf, place: str
) -> tuple[dict[str, Splits], str | None]:
    """Configuration → split → files in order, and the configuration that is meant where none is named.

    Raises:
        DataError: a pattern of the card that cannot be used.
    """
    if not listed:
        return {DEFAULT: _one_type(_by_names(_usable(names, kind_of)), kind_of)}, DEFAULT
    found: dict[str, Splits] = {}
    for configuration in listed:
        inside = f"{configuration.folder}/" if configuration.folder else ""
        below = [name.removeprefix(inside) for name in names if name.startswith(inside)]
        if configuration.splits is None:
            splits = _by_names(_usable(below, kind_of))
        else:
            splits = {
                split: _matching(patterns, [name for name in below if kind_of(name)], place)
                for split, patterns in configuration.splits.items()
            }
        chosen = _one_type({split: files for split, files in splits.items() if files}, kind_of)
        found[configuration.name] = {split: [inside + name for name in files] for split, files in chosen.items()}
    meant = [c.name for c in listed if len(listed) == 1 or c.name == DEFAULT or c.default]
    return found, meant[0] if len(meant) == 1 else None


def _usable(names: Iterable[str], kind_of: KindOf) -> list[str]:
    """Data files that are neither hidden nor about the others."""
    found = []
    for name in names:
        *folders, last = name.split("/")
        special = any(part.startswith((".", "__")) for part in folders) or last.startswith(".")
        if kind_of(name) and not special and last not in _NO_DATA:
            found.append(name)
    return found


def _by_names(names: Sequence[str]) -> Splits:
    """By data/SPLIT-00000-of-00001.…, else by folders, else by files that bear a split's name, else all are for training."""
    found: Splits = {}
    for name in names:
        if shard := _SHARD.fullmatch(name):
            found.setdefault(shard[1], []).append(name)
    if found:
        return {split: found[split] for split in sorted(found, key=lambda s: (s not in _KEYWORDS, s))}
    for parts_of in (lambda name: name.split("/")[:-1], lambda name: [name.split("/")[-1]]):
        for split, keywords in _KEYWORDS.items():
            word = re.compile(rf"(?:^|[-._ 0-9])(?:{'|'.join(keywords)})(?:[-._ 0-9]|$)")
            found[split] = [name for name in names if any(map(word.search, parts_of(name)))]
        if any(found.values()):
            return {split: files for split, files in found.items() if files}
    return {"train": list(names)} if names else {}


def _one_type(splits: Splits, kind_of: KindOf) -> Splits:
    """Files of the commonest type alone, rows before papers: a data set often holds the same rows in several."""
    kinds = Counter(kind_of(name) for files in splits.values() for name in files)
    if len(kinds) < 2:
        return splits
    most = max(
        kinds,
        key=lambda kind: (
            kind not in _PAPERS,
            kinds[kind],
            -_ORDER.index(kind) if kind in _ORDER else -len(_ORDER),
            kind,
        ),
    )
    left = {split: [name for name in files if kind_of(name) == most] for split, files in splits.items()}
    return {split: files for split, files in left.items() if files}


def _matching(patterns: Iterable[str], names: Sequence[str], place: str) -> list[str]:
    """The names that patterns match, pattern by pattern, none twice."""
    found: dict[str, None] = {}
    for pattern in patterns:
        if len(pattern) > _LONGEST_PATTERN:
            raise DataError(
                f"{place}: its README.md holds a pattern of {len(pattern)} characters; name the files yourself"
            )
        translated = _translated(pattern)
        hidden = pattern.startswith(".") or "/." in pattern
        special = pattern.startswith("__") or "/__" in pattern
        for name in names:
            odd = f"/{name}"
            if ("/." in odd and not hidden) or ("/__" in odd.rpartition("/")[0] and not special):
                continue
            try:
                if translated.fullmatch(name, timeout=_PATIENCE):
                    found[name] = None
            except TimeoutError:
                raise DataError(
                    f"{place}: a pattern of its README.md takes too long to compare; name the files yourself"
                ) from None
    return list(found)


def _translated(pattern: str) -> "regex.Pattern[str]":
    """A pattern with `*`, `?`, `[…]` and `**` (any folders) as a regular expression."""
    out, rest = "", pattern
    while rest:
        if rest.startswith("**/"):
            out, rest = out + "(?:.*/)?", rest[3:].lstrip("*")
        elif rest.startswith("**"):
            out, rest = out + ".*", rest.lstrip("*")
        elif rest[0] == "*":
            out, rest = out + "[^/]*", rest[1:]
        elif rest[0] == "?":
            out, rest = out + "[^/]", rest[1:]
        elif (chosen := re.match(r"\[([!^]?)([^]/]+)\]", rest)) is not None:
            inner = re.sub(r"([\\\[\]^&~|])", r"\\\1", chosen[2])
            out, rest = out + f"[{'^' if chosen[1] else ''}{inner}]", rest[chosen.end() :]
        else:
            out, rest = out + re.escape(rest[0]), rest[1:]
    try:
        return regex.compile(out)
    except regex.error:
        return regex.compile(regex.escape(pattern, literal_spaces=True))


def first_names(names: Iterable[str], most: int = 8) -> str:
    """Some names, for a message."""
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "") or "nothing"


def has_script(names: Iterable[str], repo: str) -> bool:
    """Whether the repository brings a loading script of its own, which makes its rows out of its files."""
    return f"{PurePosixPath(repo).name}.py" in set(names)


def in_words(found: Mapping[str, Splits]) -> str:
    """What there is, for messages: configurations with their splits."""
    return "; ".join(f"{name}: {first_names(splits)}" for name, splits in list(found.items())[:20]) or "nothing"
