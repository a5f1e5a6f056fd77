"""The one loader: schema default < `extends:` < file < `key=value`, checked as a whole, all problems at once."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from medicalgpt.config.layers import Layer, default_values, read_files, read_override
from medicalgpt.config.problems import describe, take_out_plain_sections
from medicalgpt.config.renamed import take_new_names
from medicalgpt.config.yaml_text import KeyPath, flow
from medicalgpt.errors import ConfigError

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True)
class Resolved(Generic[T]):
    """A checked config; `origin` maps each dotted leaf key to "default", "file:line" or "override"."""

    value: T
    origin: dict[str, str]


def load(schema: type[T], path: str | Path | None, overrides: Sequence[str] = ()) -> Resolved[T]:
    """Read a config file (or none) and `key=value` overrides into `schema`.

    Mappings are merged key by key, lists are replaced. Paths in values stay relative to the current directory; paths
    in `extends:` are relative to the file. Keys that were renamed are read under their old names as well. Raises ConfigError with every problem, one line each.
    """
    problems: list[str] = []
    files, complete = read_files(path, problems) if path is not None else ([], True)
    merged = Layer(default_values(schema))
    for layer in [*files, *(read_override(text, problems) for text in overrides)]:
        problems += take_new_names(layer, schema)
        problems += take_out_plain_sections(layer, schema)
        merged.lay(layer)
    try:
        # JSON rules: paths and enums may be text, yet "3" is not a number, 3.5 is not whole and true is not 1.
        value = schema.model_validate_json(json.dumps(merged.values), strict=True)
    except ValidationError as error:
        problems += describe(error, schema, merged, f"{path}: " if path is not None else "", complete)
    if problems:
        raise ConfigError("\n".join(problems))
    return Resolved(value, {dotted(leaf): _origin(leaf, merged) for leaf, _ in leaves(value)})


def dump(resolved: Resolved[Any]) -> str:
    """YAML with a trailing `# origin` on each leaf; `load` reads it back to an equal config."""
    lines: list[str] = []
    above: KeyPath = ()
    for path, leaf in leaves(resolved.value):
        for depth in range(1, len(path)):
            if above[:depth] != path[:depth]:
                lines.append(f"{'  ' * (depth - 1)}{flow(path[depth - 1])}:")
                above = path[:depth]
        above = path
        indent = "  " * (len(path) - 1)
        lines.append(f"{indent}{flow(path[-1])}: {flow(leaf)}  # {resolved.origin[dotted(path)]}")
    return "\n".join(lines) + "\n"


def leaves(value: BaseModel) -> Iterator[tuple[KeyPath, Any]]:
    """Every leaf of a config as (key path, value of JSON types); lists and empty mappings are leaves."""

    def inside(node: dict[str, Any], path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
        for key, inner in node.items():
            if isinstance(inner, dict) and inner:
                yield from inside(inner, (*path, key))
            else:
                yield (*path, key), inner

    return inside(value.model_dump(mode="json"), ())


def dotted(path: KeyPath) -> str:
    """The key as overrides write it."""
    return ".".join(str(key) for key in path)


def _origin(leaf: KeyPath, merged: Layer) -> str:
    place = merged.places.get(leaf)
    return place.origin if place else "default"
