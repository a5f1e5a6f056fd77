"""JSON schemas of strangers, applied within bounds: every step of the check is paid for, and no pattern runs for long.

A schema can ask for work without end: `allOf` with the same `$ref` twice in each of thirty definitions is 2^30 steps, and the
pattern `(a|a)*$` takes twice as long with every letter. jsonschema sets no limit, and Python's `re` cannot be interrupted.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend
from referencing import Registry

from medicalgpt.data.patterns import compiled

STEPS: Final = 20_000
SECONDS: Final = 1.0
_TYPES: Final = frozenset(("array", "boolean", "integer", "null", "number", "object", "string"))

Json = Any
"""What a JSON text may hold, and what jsonschema, which has no types, hands on."""

Errors = Iterator[ValidationError]
Keyword = Callable[[Json, Json, Json, Json], Errors | None]


class TooCostlyError(Exception):
    """A schema that takes more work than is allowed."""


@dataclass
class Budget:
    """What checks may cost together: keywords applied, and seconds since the check that is under way began."""

    steps: int = STEPS
    seconds: float = SECONDS
    _until: float = 0.0

    def begin(self) -> None:
        """A check starts; the seconds that are left are counted from now."""
        self._until = time.monotonic() + self.seconds

    def end(self) -> None:
        """It is over; what it took is gone."""
        self.seconds = self._until - time.monotonic()

    def spend(self) -> float:
        """One step; gives the seconds that are left.

        Raises:
            TooCostlyError: nothing is left.
        """
        self.steps -= 1
        left = self._until - time.monotonic()
        if self.steps < 0 or left <= 0:
            raise TooCostlyError
        return left


class BoundedSchema:
    """A schema whose checks share a budget; a schema that names another draft is read as 2020-12 all the same.

    Addresses are never fetched.
    """

    def __init__(self, schema: Json, budget: Budget) -> None:
        self.budget = budget
        # jsonschema goes over to the validator of a part's "$schema", which counts nothing.
        self._validator = _bounded(budget)(_without_drafts(schema), registry=Registry())

    def errors(self, instance: Json) -> list[ValidationError]:
        """All that is wrong with a value.

        Raises:
            TooCostlyError: it takes too long to find out.
        """
        self.budget.begin()
        try:
            return list(self._validator.iter_errors(instance))
        except TimeoutError:  # of a pattern
            raise TooCostlyError from None
        finally:
            self.budget.end()


def _bounded(budget: Budget) -> Json:
    """Draft 2020-12, each keyword paid for, patterns matched by an engine that can be interrupted."""

    def search(pattern: str, text: str) -> bool:
        return compiled(pattern).search(text, timeout=budget.spend()) is not None

    def pattern(validator: Json, value: str, instance: Json, schema: Json) -> Errors:
        if isinstance(instance, str) and not search(value, instance):
            yield ValidationError("the text does not match the pattern")

    def pattern_properties(validator: Json, value: Mapping[str, Json], instance: Json, schema: Json) -> Errors:
        if isinstance(instance, dict):
            for source, part in value.items():
                for key in [key for key in instance if search(source, key)]:
                    yield from validator.descend(instance[key], part, path=key, schema_path=source)

    def additional_properties(validator: Json, value: Json, instance: Json, schema: Mapping[str, Json]) -> Errors:
        if not isinstance(instance, dict):
            return
        named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        for key in instance:
            if key in named or any(search(source, key) for source in patterns):
                continue
            if value is False:
                yield ValidationError("additional properties are not allowed")
                return
            yield from validator.descend(instance[key], value, path=key)

    def types(validator: Json, value: Json, instance: Json, schema: Json) -> Errors:
        """Training rows have tools of strangers with `"type": "float"` or `"str"`, which say nothing that can be checked."""
        named = value if isinstance(value, list) else [value]
        if all(isinstance(name, str) and name in _TYPES for name in named):
            yield from Draft202012Validator.VALIDATORS["type"](validator, value, instance, schema) or ()

    def unique(validator: Json, value: Json, instance: Json, schema: Json) -> Errors:
        if value and isinstance(instance, list) and len(set(map(_key, instance))) < len(instance):
            yield ValidationError("an item stands there twice")

    own: dict[str, Keyword] = {
        "type": types,
        "pattern": pattern,
        "patternProperties": pattern_properties,
        "additionalProperties": additional_properties,
        "uniqueItems": unique,
    }
    keywords = {**Draft202012Validator.VALIDATORS, **own}
    return extend(Draft202012Validator, {name: _paid(keyword, budget) for name, keyword in keywords.items()})


def _paid(keyword: Keyword, budget: Budget) -> Keyword:
    @wraps(keyword)
    def checked(validator: Json, value: Json, instance: Json, schema: Json) -> Errors:
        budget.spend()
        for error in keyword(validator, value, instance, schema) or ():
            budget.spend()
            yield error

    return checked


def _key(value: Json) -> Json:
    """Equal for values that JSON Schema takes as equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, dict):
        return frozenset((key, _key(item)) for key, item in value.items())
    if isinstance(value, list):
        return tuple(map(_key, value))
    return (isinstance(value, bool), value)


def _without_drafts(schema: Json) -> Json:
    if isinstance(schema, dict):
        return {
            key: _without_drafts(value)
            for key, value in schema.items()
            if not (key == "$schema" and isinstance(value, str))
        }
    return [_without_drafts(item) for item in schema] if isinstance(schema, list) else schema
