"""What pydantic found wrong, in one line each: where it was written, what came, what is allowed."""

import json
import re
from collections.abc import Container, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from medicalgpt.config.data_source import TAGS
from medicalgpt.config.evaluation import GATE_TAGS
from medicalgpt.config.explain import explain
from medicalgpt.config.foreign import Meant, meant_by
from medicalgpt.config.layers import Layer
from medicalgpt.config.near_names import close_names, did_you_mean
from medicalgpt.config.words import Kind, expected_words, is_section, options, section_of, type_words, walk
from medicalgpt.config.yaml_text import KeyPath

_OWN_WORDS = ("value_error", "assertion_error")  # raised by a validator of the schema, which says it best itself
_LONGEST = 60
_MOST = 100  # lines: each of them is looked up among all keys


def describe(
    error: ValidationError, schema: type[BaseModel], merged: Layer, fallback: str, complete: bool
) -> list[str]:
    """One line per faulty key.

    `fallback` names the file (or nothing) for keys that stand nowhere. Unless the files were `complete`, missing keys
    are passed over: an unreadable file may hold them.
    """
    details = error.errors(include_url=False)
    told = [d for d in details if complete or d["type"] != "missing"]
    lines = [_line(d, schema, merged, fallback) for d in told[:_MOST]]
    more = [f"… and {len(told) - _MOST:,} more"] if len(told) > _MOST else []
    return [*dict.fromkeys(lines), *more]  # a union reports every branch that failed: one line is enough


def take_out_plain_sections(layer: Layer, schema: type[BaseModel]) -> list[str]:
    """Remove values that stand where a section must be, one line each; laid over, they would wipe out its defaults."""

    def inside(values: dict[str, Any], section: type[BaseModel], path: KeyPath) -> Iterator[str]:
        for name, info in section.model_fields.items():
            here, inner = (*path, name), info.annotation
            if name not in values or not is_section(inner):
                continue
            if isinstance(values[name], dict):
                yield from inside(values[name], inner, here)
            else:
                yield _place(here, layer, "") + _not_allowed(here, values.pop(name), Kind(inner))

    return list(inside(layer.values, schema, ()))


def _line(detail: ErrorDetails, schema: type[BaseModel], merged: Layer, fallback: str) -> str:
    if detail["type"] == "json_invalid":
        return f"{fallback}{detail['msg']}"
    location = tuple(key for key in detail["loc"] if key not in (*TAGS, *GATE_TAGS))
    kinds = list(walk(schema, location))
    path = location[: len(kinds) - 1]
    if detail["type"] == "extra_forbidden":
        path = location[: len(kinds)]
        return _place(path, merged, fallback) + _unknown(path, detail["input"], kinds[-1], schema)
    name, place = _dotted(path), _place(path, merged, fallback)
    if detail["type"] == "missing":
        required = f"{name} is required: {expected_words(kinds[-1])}; write it in the file or as {name}=…"
        return place + required
    if detail["type"] in _OWN_WORDS:
        message = detail["msg"].split(", ", 1)[-1]
        place = _place(_meant(message, path, merged), merged, fallback)
        return f"{place}{name}: {message}" if name else f"{place}{message}"
    return place + _not_allowed(path, _value(merged.values, path, detail["input"]), kinds[-1])


def _not_allowed(path: KeyPath, value: Any, kind: Kind) -> str:
    expected, hint = expected_words(kind), ""
    if is_section(kind.annotation) and (first := _first_key(kind.annotation, value)):
        hint = f"; did you mean {_dotted((*path, first))}?"
    elif isinstance(value, str):
        hint = did_you_mean(value, options(kind))
    elif expected.startswith("text") and isinstance(value, int | float):
        hint = "; quote it to make it text"
    elif value is None and section_of(kind):
        hint = "; set one of them or remove the line"
    return f"{_dotted(path)} is {_shown(value)}; allowed: {expected}{hint}"


def _first_key(section: type[BaseModel], value: object) -> str | None:
    """The first key of a section where such a value would be right: a model's base, a file of data, lora on or off."""
    name, info = next(iter(section.model_fields.items()))
    written = {str: "text", bool: "true or false"}.get(type(value), "list of text")
    fits = type_words(Kind(info.annotation)).removesuffix(" or section") in (written, f"list of {written}")
    return name if fits and isinstance(value, str | bool | list) else None


def _place(path: KeyPath, merged: Layer, fallback: str) -> str:
    for length in range(len(path), 0, -1):
        if found := merged.places.get(path[:length]):
            return f"{found.label}: "
    return fallback


def _meant(message: str, section: KeyPath, merged: Layer) -> KeyPath:
    """The key below a section that a message of the section names, where one was written; else the section."""
    size = len(section)
    below = (path for path in merged.places if path[:size] == section and len(path) > size)
    named = [path for path in below if str(path[-1]) in re.findall(r"\w+", message)]
    return max(named, key=lambda path: len(str(path[-1])), default=section)


def _dotted(path: KeyPath) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


def _value(values: Any, path: KeyPath, otherwise: Any) -> Any:
    for key in path:
        try:
            values = values[key]
        except (KeyError, IndexError, TypeError):
            return otherwise
    return values


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _words_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _words_in(inner)


def _explained(meant: Meant, known: Container[str]) -> str:
    """What a word of another tool is called here, ready to be appended; `known` are the keys there are."""
    keys = meant.among(known)
    if keys:
        return f"; did you mean {' or '.join(repr(key) for key in keys)}?{f' {meant.sentence}' if meant.note else ''}"
    return f"; {meant.note or 'this stage has nothing like it'}"


def _unknown(path: KeyPath, value: Any, kind: Kind, schema: type[BaseModel]) -> str:
    """The message for an unknown key, with keys of this section, or of any section, that were probably meant."""
    key, section = str(path[-1]), section_of(kind) or schema
    prefix = _dotted(path[:-1])
    here = {name: f"{prefix}.{name}".removeprefix(".") for name in section.model_fields}
    every = [row.key for row in explain(schema)]
    by_leaf: dict[str, list[str]] = {}
    for dotted in every:
        by_leaf.setdefault(dotted.rpartition(".")[2], []).append(dotted)

    if key in every and "." in key:
        return f"unknown key '{key}': in a file write it nested, {key.replace('.', ': {')}: …{'}' * key.count('.')}"
    found = by_leaf.get(key, [])  # the right name in the wrong section
    if not found and not isinstance(value, dict) and (meant := meant_by(key)):
        return f"unknown key '{_dotted(path)}'{_explained(meant, every)}"
    if not prefix and not isinstance(value, dict):  # below a section all dotted paths look alike
        found = found or close_names(key, every, most=1)
    found = found or [here[name] for name in close_names(key, here)]
    found = found or [dotted for word in _words_in(value) for dotted in by_leaf.get(word, [])]
    found = found or [dotted for leaf in close_names(key, by_leaf) for dotted in by_leaf[leaf]]
    message = f"unknown key '{_dotted(path)}'"
    if found:
        return f"{message}; did you mean {' or '.join(repr(name) for name in found[:3])}?"
    return f"{message}; keys here: {', '.join(section.model_fields) or 'none'}"
