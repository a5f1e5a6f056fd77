"""What pydantic found wrong, in one line each: where it was written, what came, what is allowed."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from medicalgpt.config.explain import explain
from medicalgpt.config.layers import Layer
from medicalgpt.config.lookup import close_names
from medicalgpt.config.words import Kind, expected_words, section_of, walk
from medicalgpt.config.yaml_text import KeyPath

_OWN_WORDS = ("value_error", "assertion_error")  # raised by a validator of the schema, which says it best itself
_LONGEST = 60


def describe(error: ValidationError, schema: type[BaseModel], merged: Layer, fallback: str) -> list[str]:
    """One line per faulty key. `fallback` names the file (or nothing) for keys that stand nowhere."""
    lines = (_line(detail, schema, merged, fallback) for detail in error.errors(include_url=False))
    return list(dict.fromkeys(lines))  # a union reports every branch that failed: one line is enough


def _line(detail: ErrorDetails, schema: type[BaseModel], merged: Layer, fallback: str) -> str:
    if detail["type"] == "json_invalid":
        return f"{fallback}{detail['msg']}"
    kinds = list(walk(schema, detail["loc"]))
    path = detail["loc"][: len(kinds) - 1]
    if detail["type"] == "extra_forbidden":
        path = detail["loc"][: len(kinds)]
        return _place(path, merged, fallback) + _unknown(path, detail["input"], kinds[-1], schema)
    name, place = _dotted(path), _place(path, merged, fallback)
    if detail["type"] == "missing":
        return f"{place}{name} is required: {expected_words(kinds[-1])}; write it in the file or as {name}=…"
    if detail["type"] in _OWN_WORDS:
        message = detail["msg"].split(", ", 1)[-1]
        return f"{place}{name}: {message}" if name else f"{place}{message}"
    value = _value(merged.values, path, detail["input"])
    allowed = expected_words(kinds[-1])
    hint = "; quote it to make it text" if allowed.startswith("text") and isinstance(value, int | float) else ""
    return f"{place}{name} is {_shown(value)}; allowed: {allowed}{hint}"


def _place(path: KeyPath, merged: Layer, fallback: str) -> str:
    for length in range(len(path), 0, -1):
        if found := merged.places.get(path[:length]):
            return f"{found.label}: "
    return fallback


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


def _unknown(path: KeyPath, value: Any, kind: Kind, schema: type[BaseModel]) -> str:
    """The message for an unknown key, with keys of this section, or of any section, that were probably meant."""
    key, section = str(path[-1]), section_of(kind) or schema
    prefix = _dotted(path[:-1])
    here = {name: f"{prefix}.{name}".removeprefix(".") for name in section.model_fields}
    every = [row.key for row in explain(schema)]
    by_leaf: dict[str, list[str]] = {}
    for dotted in every:
        by_leaf.setdefault(dotted.rpartition(".")[2], []).append(dotted)

    found = by_leaf.get(key, [])  # the right name in the wrong section
    found = found or [here[name] for name in close_names(key, here)]
    found = found or [dotted for word in _words_in(value) for dotted in by_leaf.get(word, [])]
    found = found or [dotted for leaf in close_names(key, by_leaf) for dotted in by_leaf[leaf]]
    found = found or close_names(_dotted(path), every)
    message = f"unknown key '{_dotted(path)}'"
    if found:
        return f"{message}; did you mean {' or '.join(repr(name) for name in found[:3])}?"
    return f"{message}; keys here: {', '.join(section.model_fields) or 'none'}"
