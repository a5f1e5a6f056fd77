"""The JSON schemas of tools' parameters: checked before a call is checked against them. They are as untrusted as any text."""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import regex

from medicalgpt.data.patterns import compiled, refused
from medicalgpt.errors import DataError

MOST_TOOLS: Final = 128
MOST_VALUES: Final = 5000
"""Of all tools together: numbers, texts, lists and objects in their schemas."""
MOST_DEPTH: Final = 40
"""Of objects and lists within each other, a tool being the first."""
MOST_CHARACTERS: Final = 256_000
LARGEST_WHOLE: Final = 2**64
_DATA = ("const", "enum", "default", "examples", "example")  # what stands there is no schema


def check_tools(tools: Iterable[Mapping[str, Any]]) -> None:
    """Refuse tools whose parameters no call could be checked against, or not within bounds.

    Raises:
        DataError: naming the tool, and what is wrong with its JSON schema.
    """
    room = MOST_VALUES
    for count, tool in enumerate(tools, 1):
        if count > MOST_TOOLS:
            raise DataError(f"there are more than {MOST_TOOLS} tools; give those that this question may need")
        function = tool["function"]
        what = f"tool '{str(function['name'])[:64]}'"
        room -= _values(what, tool, room, "the tools have more than {} values in their schemas together")
        if reason := _wrong(_text(what, parameters(function)), "parameters"):
            raise DataError(f"{what}: {reason}")


def check_schema(schema: Mapping[str, Any], what: str) -> str:
    """Refuse a JSON schema that nothing could be checked against, or not within the bounds of one tool's; gives its JSON text.

    Args:
        what: its name in messages.

    Raises:
        DataError: what is wrong with it.
    """
    _values(what, schema, MOST_VALUES, "it has more than {} values")
    text = _text(what, schema)
    if reason := _wrong(text, "it"):
        raise DataError(f"{what}: {reason}")
    return text


def parameters(function: Mapping[str, Any]) -> Any:
    """A tool's JSON schema; one that has none takes anything."""
    value = function.get("parameters")
    return {} if value is None else value


def _values(what: str, tool: Mapping[str, Any], room: int, too_many: str) -> int:
    """How many values a tool or schema consists of.

    Raises:
        DataError: they are too many, too deep, too long or too large.
    """
    count = characters = 0
    level: list[Any] = [tool]
    depth = 0
    while level:
        depth += 1
        count += len(level)
        characters += sum(map(_characters, level))
        if count > room:
            raise DataError(f"{what}: {too_many.format(MOST_VALUES)}")
        if depth > MOST_DEPTH:
            raise DataError(f"{what}: its schema is nested more than {MOST_DEPTH} levels deep")
        if characters > MOST_CHARACTERS:
            raise DataError(f"{what}: its texts have more than {MOST_CHARACTERS} characters")
        if any(isinstance(value, int) and abs(value) > LARGEST_WHOLE for value in level):
            raise DataError(f"{what}: its schema has a whole number beyond 2^64")
        level = [item for value in level for item in _within(value)]
    return count


def _within(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()


def _characters(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(len(str(key)) for key in value)
    return len(value) if isinstance(value, str) else 0


def _text(what: str, schema: Any) -> str:
    """A schema as JSON.

    Raises:
        DataError: no JSON can say it.
    """
    try:
        text = json.dumps(schema, ensure_ascii=False, allow_nan=False)
        text.encode()
    except UnicodeEncodeError:
        raise DataError(f"{what}: its schema has half of a surrogate pair (\\ud800 to \\udfff)") from None
    except (TypeError, ValueError):
        raise DataError(f"{what}: its schema has NaN, an infinite number or a value that is no JSON") from None
    return text


@lru_cache(64)
def _wrong(text: str, it: str) -> str | None:
    """What is wrong with a schema, which is called `it`; kept, as agents send the same tools with every request."""
    from jsonschema import Draft202012Validator, SchemaError  # takes as long to import as some hundred rows to prepare

    schema = json.loads(text)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        place = f"(at {error.json_path[:200]}: '{error.validator}' is not kept)"
        return f"{it} is no JSON schema {place}; see https://json-schema.org"
    except RecursionError:
        return f"{it} is nested too deeply"
    parts = list(_parts(schema))
    # jsonschema would match these patterns by itself, without a limit, wherever the two stand.
    if any("patternProperties" in part for part in parts) and any("unevaluatedProperties" in part for part in parts):
        return "unevaluatedProperties together with patternProperties is not taken; use additionalProperties"
    return next((reason for part in parts if (reason := _wrong_part(part))), None)


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    """All objects that may be schemas."""
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting += [item for key, item in value.items() if key not in _DATA]
        elif isinstance(value, list):
            waiting += value


def _wrong_part(part: dict[str, Any]) -> str | None:
    own, named = part.get("pattern"), part.get("patternProperties")
    for pattern in [*([own] if isinstance(own, str) else ()), *(named if isinstance(named, dict) else ())]:
        if reason := refused(pattern):
            return reason
        try:
            compiled(pattern)
        except (regex.error, RecursionError, OverflowError):
            return f"'{pattern[:80]}' is no regular expression"
    return None
