"""Keys that were renamed: the old name is read as the new one, with a warning that names it.

Old names stand in users' files, in resolved configs of old runs and in pipelines. A run's key is hashed under the first
name of each key, so that a finished run does not become another configuration because a key was renamed.
"""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from medicalgpt.config.layers import Layer
from medicalgpt.config.words import walk
from medicalgpt.config.yaml_text import KeyPath

RENAMED: Mapping[str, str] = {
    "objective.length_normalised": "objective.length_normalized",
    "objective.centre": "objective.center",
    "reward.normalise": "reward.normalize",
    "objective.reduce": "objective.loss_type",
}
"""Old to new; only the last word of a key changes."""

VALUES: Mapping[str, Mapping[str, str]] = {"objective.reduce": {"token": "bnpo", "answer": "grpo"}}
"""Values that were renamed with a key, by its old name."""


def take_new_names(layer: Layer, schema: type[BaseModel]) -> Iterator[str]:
    """Move values under old names to the new ones; yields a problem where both are set."""
    for old, new in RENAMED.items():
        *section, name = old.split(".")
        word = new.rpartition(".")[2]
        path, target = (*section, name), (*section, word)
        values = _section(layer.values, section)
        if name not in values or _knows(schema, path) or not _knows(schema, target):
            continue
        if word in values:
            yield f"{layer.places[path].label}: {old} is the old name of {new}, which is set as well; keep {new}"
            del values[name]
            continue
        place, value = layer.places[path].label, values.pop(name)
        meant = VALUES.get(old, {}).get(value, value) if isinstance(value, str) else value
        written = new if meant == value else f"{new}={meant}"
        warnings.warn(f"{place}: {old} was renamed; write {written}", FutureWarning, stacklevel=3)
        values[word] = meant
        layer.places = {_moved(key, path, target): at for key, at in layer.places.items()}


def first_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """A config's values with every renamed key under its first name and value, for hashes that must outlive the renaming."""
    out = dict(values)
    for old, new in RENAMED.items():
        section, _, name = old.rpartition(".")
        word, inner = new.rpartition(".")[2], out.get(section)
        if isinstance(inner, dict) and word in inner:
            first = {now: once for once, now in VALUES.get(old, {}).items()}
            out[section] = {
                name if key == word else key: first.get(value, value) if key == word and first else value
                for key, value in inner.items()
            }
    return out


def _section(values: Any, path: list[str]) -> dict[str, Any]:
    for key in path:
        values = values.get(key) if isinstance(values, dict) else None
    return values if isinstance(values, dict) else {}


def _knows(schema: type[BaseModel], path: KeyPath) -> bool:
    return len(list(walk(schema, path))) == len(path) + 1


def _moved(key: KeyPath, old: KeyPath, new: KeyPath) -> KeyPath:
    return (*new, *key[len(old) :]) if key[: len(old)] == old else key
