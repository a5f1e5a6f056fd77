"""Where config values come from: schema defaults, files (with `extends:`), overrides; and how they are laid over."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from medicalgpt.config.near_names import close_names
from medicalgpt.config.words import is_section
from medicalgpt.config.yaml_text import LONGEST, KeyPath, Parsed, YamlError, parse


class Place(NamedTuple):
    """Where a value was written: `origin` for the resolved config, `label` for error messages."""

    origin: str
    label: str


@dataclass
class Layer:
    """Nested values and the place of each key and list item."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)

    def lay(self, upper: "Layer") -> None:
        """Put `upper` on top: sections and mappings are merged key by key, everything else is replaced."""
        merged, replaced = set[KeyPath](), set[KeyPath]()
        _merge(self.values, upper.values, (), merged, replaced)

        def new(path: KeyPath) -> bool:
            return any(path[:depth] in replaced for depth in range(1, len(path) + 1))

        self.places = {path: place for path, place in self.places.items() if not new(path)}
        self.places |= {path: place for path, place in upper.places.items() if path in merged or new(path)}


def _merge(
    low: dict[str, Any], high: dict[str, Any], path: KeyPath, merged: set[KeyPath], replaced: set[KeyPath]
) -> None:
    """Put `high` into `low`, noting which keys were merged and which were replaced with all that is below them."""
    for key, value in high.items():
        here = (*path, key)
        if isinstance(value, dict) and isinstance(low.get(key), dict):
            merged.add(here)
            _merge(low[key], value, here, merged, replaced)
        else:
            replaced.add(here)
            low[key] = value


def default_values(schema: type[BaseModel]) -> dict[str, Any]:
    """The schema's own defaults as JSON types, section by section; required keys are absent."""
    values: dict[str, Any] = {}
    for name, info in schema.model_fields.items():
        if info.is_required():
            if is_section(info.annotation):
                values[name] = default_values(info.annotation)
        elif not info.default_factory_takes_validated_data:  # pydantic fills those in after the other keys are known
            values[name] = to_jsonable_python(info.get_default(call_default_factory=True))
    return values


def read_override(text: str, problems: list[str]) -> Layer:
    """A `key=value` word as a layer; an unreadable one adds a problem and gives an empty layer."""
    label = f"override '{text}'"
    name, equals, raw = text.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        problems.append(f"{label}: expected key=value, for example train.max_steps=50")
        return Layer()
    try:
        parsed = parse(raw)
    except YamlError as error:
        quoted = raw.replace("\\", "\\\\").replace('"', '\\"')
        problems.append(f"{label}: the value is not YAML ({error.message}); as plain text: '{name}=\"{quoted}\"'")
        return Layer()
    problems += [f"{label}: {message}" for _, message in parsed.faults]
    place = Place("override", label)
    path = tuple(keys)
    value: Any = parsed.value
    for key in reversed(keys):
        value = {key: value}
    places: dict[KeyPath, Place] = {path[:depth]: place for depth in range(1, len(path) + 1)}
    return Layer(value, places | {(*path, *inner): place for inner in parsed.lines})


def read_files(path: str | Path, problems: list[str]) -> tuple[list[Layer], bool]:
    """The file and all that it extends, lowest layer first, and whether every one of them could be read."""
    reader = _FileReader(problems)
    reader.add(Path(path), str(path), "")
    return reader.layers, reader.complete


class _FileReader:
    """Follows `extends:` depth first; a file that is reached twice counts once, at its first place."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        self.layers: list[Layer] = []
        self.complete = True
        self.open: dict[str, str] = {}  # real path -> shown path of the files being followed
        self.done: set[str] = set()

    def add(self, path: Path, shown: str, asked_at: str) -> None:
        real = os.path.realpath(path)
        if real in self.open:
            circle = " → ".join([*self.open.values(), shown])
            self.problems.append(f"{asked_at}goes in a circle: {circle}")
        elif real not in self.done:
            self.open[real] = shown
            parsed = self._parse(path, shown, asked_at)
            if parsed is None:
                self.complete = False
            else:
                self._take(parsed, path, shown)
            del self.open[real]
            self.done.add(real)

    def _parse(self, path: Path, shown: str, asked_at: str) -> Parsed | None:
        try:
            with path.open("rb") as file:
                data = file.read(4 * LONGEST + 1)  # bytes of as many characters: the rest would be refused anyway
        except OSError as error:
            reason = f"no such file{_neighbors(path)}" if isinstance(error, FileNotFoundError) else error.strerror
            self.problems.append(f"{asked_at}{shown}: {reason}")
            return None
        try:
            parsed = parse(data.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            self.problems.append(f"{shown}:{line}: the file is not UTF-8; save it as UTF-8")
            return None
        except YamlError as error:
            self.problems.append(f"{shown}:{error.line}: not valid YAML: {error.message}")
            return None
        self.problems += [f"{shown}:{line}: {message}" for line, message in parsed.faults]
        if parsed.empty:
            self.problems.append(f"{shown}:1: the file is empty; expected `key: value` lines")
            return None
        if not isinstance(parsed.value, dict):
            what = "a list" if isinstance(parsed.value, list) else "a single value"
            self.problems.append(f"{shown}:1: expected `key: value` lines, got {what}")
            return None
        return parsed

    def _take(self, parsed: Parsed, path: Path, shown: str) -> None:
        bases: Any = parsed.value.pop("extends", [])
        bases = [bases] if isinstance(bases, str) else bases
        at = parsed.lines.get(("extends",))
        if isinstance(bases, Sequence) and all(isinstance(base, str) and base for base in bases):
            for index, base in enumerate(bases):
                line = parsed.lines.get(("extends", index), at)
                self.add(path.parent / base, os.path.normpath(Path(shown).parent / base), f"{shown}:{line}: extends: ")
        else:
            self.complete = False
            self.problems.append(f"{shown}:{at}: extends takes a path or a list of paths, relative to this file")
        places = {key: Place(f"{shown}:{line}", f"{shown}:{line}") for key, line in parsed.lines.items()}
        self.layers.append(Layer(parsed.value, places))


def _neighbors(path: Path) -> str:
    """A file beside a missing one with a similar name, the ending aside."""
    try:
        names = {Path(name).stem: name for name in os.listdir(path.parent) if name.endswith((".yaml", ".yml"))}
    except OSError:
        return ""
    found = close_names(path.stem, names, most=1)
    return f"; did you mean '{names[found[0]]}'?" if found else ""
