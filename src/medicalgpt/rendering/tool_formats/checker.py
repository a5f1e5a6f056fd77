"""The check of a call against the tools it may name. Imported by whoever needs it: jsonschema takes as long as some hundred rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import regex
from jsonschema import ValidationError
from jsonschema.exceptions import UnknownType
from referencing.exceptions import Unresolvable

from medicalgpt.data.bounded_schema import BoundedSchema, Budget, TooCostlyError
from medicalgpt.data.formats.fields import type_name
from medicalgpt.data.tool_schemas import parameters
from medicalgpt.rendering.tool_formats.problems import TOOL_NAME, CallProblem, shown_name

_TYPES = {
    **{"string": "text", "number": "a number", "integer": "a whole number", "boolean": "true or false"},
    **{"array": "a list", "object": "an object", "null": "null"},
}
_LIMITS = ("enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength")

# A schema that came unchecked (as training rows have them) may be none, whatever jsonschema then stumbles over.
_BROKEN = (
    *(Unresolvable, UnknownType, regex.error, RecursionError, ArithmeticError, TypeError, ValueError, AttributeError),
    *(LookupError, StopIteration),
)


class CallChecker:
    """Checks calls against tools. Without tools every call passes, as there is nothing to check it against.

    All calls of an answer share a budget of steps and seconds: schemas are as untrusted as the calls.
    """

    def __init__(self, tools: Sequence[Mapping[str, Any]] = ()) -> None:
        budget = Budget()
        self._schemas = {
            tool["function"]["name"]: BoundedSchema(parameters(tool["function"]), budget) for tool in tools
        }

    def problem(self, call: Mapping[str, Any]) -> CallProblem | None:
        """What is wrong with a call `{"name": …, "arguments": {…}}`, or None."""
        if not self._schemas:
            return None
        name = call["name"]
        if name not in self._schemas:
            shown = f"'{name}' is none of the tools" if TOOL_NAME.fullmatch(name) else "the name is none of the tools"
            return CallProblem("unknown_tool", f"{shown}: {', '.join(self._schemas)}", shown_name(name))
        try:
            errors = self._schemas[name].errors(call["arguments"])
            return _explain(name, min(errors, key=_rank)) if errors else None
        except TooCostlyError:
            return CallProblem("bad_value", f"{name}: checking calls against its schema takes too long", name)
        except _BROKEN as error:
            return CallProblem("bad_value", f"{name}: its schema cannot be applied ({type(error).__name__})", name)


def _rank(error: ValidationError) -> int:
    return {"required": 0, "type": 1}.get(str(error.validator), 2)


def _explain(name: str, error: ValidationError) -> CallProblem:
    at = _path(error)
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        argument = f"{at}.{missing}" if at else missing
        return CallProblem("missing_argument", f"{name}: the argument '{argument}' is missing", name, argument)
    place = f"the argument '{at}'" if at else "the arguments"
    if error.validator == "type":
        allowed = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        wanted = " or ".join(_TYPES.get(str(kind), str(kind)) for kind in allowed)
        found = type_name(error.instance)
        return CallProblem("wrong_type", f"{name}: {place}: {found} came, {wanted} is allowed", name, at)
    limit = f" {error.validator_value!r}"[:200] if error.validator in _LIMITS else ""
    return CallProblem("bad_value", f"{name}: {place}: the schema's '{error.validator}'{limit} is not kept", name, at)


def _path(error: ValidationError) -> str | None:
    """Where in the arguments an error is: `visit.drugs.0`. Keys that are no names are not shown."""
    parts = [str(part) if isinstance(part, int) else shown_name(part) or "…" for part in error.absolute_path]
    return ".".join(parts) or None
