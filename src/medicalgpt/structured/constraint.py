"""What an answer must be: JSON that keeps a schema, or a call of one of the tools. Data only; nothing heavy is imported."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from medicalgpt.data.tool_schemas import check_schema, parameters
from medicalgpt.errors import DataError, ServeError
from medicalgpt.rendering.tool_formats import ToolFormat

_GUIDANCE: Final = "x-guidance"  # where llguidance looks for options; a stranger's schema sets none
_OPTIONS: Final[Mapping[str, object]] = {
    "item_separator": ",",
    "key_separator": ":",
    "whitespace_flexible": True,
    # Bounded: a model that is told to write JSON may else write blanks until it is cut off.
    "whitespace_pattern": r"( |\n {0,24})?",
    "coerce_one_of": False,
    "lenient": False,  # a keyword that cannot be kept is an error
}
# Many models begin an answer with a blank, and go on after their thoughts with a blank line.
_LEAD: Final = r"/ |\n\n?/"


@dataclass(frozen=True, slots=True)
class Form:
    """One thing that an answer may be: JSON that keeps `schema` (as JSON text), with fixed text on both sides."""

    schema: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Constraint:
    """The forms that an answer may have. `begun`: the prompt ends with the beginning of the answer already."""

    forms: tuple[Form, ...]
    begun: bool = False

    @classmethod
    def json_schema(cls, schema: object, what: str = "json_schema") -> "Constraint":
        """JSON that keeps a schema.

        Args:
            schema: a JSON schema of draft 2020-12, as Python values; it is untrusted, and checked as tools' schemas are.
            what: its name in messages.

        Raises:
            ServeError: it is no schema, or beyond the bounds.
        """
        if not isinstance(schema, Mapping):
            raise ServeError(f"{what} is a {type(schema).__name__}; a JSON schema is an object with keywords")
        try:
            return cls((Form(check_schema(schema, what)),))
        except DataError as error:
            raise ServeError(str(error)) from None

    @classmethod
    def json_object(cls) -> "Constraint":
        """Any JSON object."""
        return cls((Form('{"type": "object"}'),))

    @classmethod
    def call(cls, tool_format: ToolFormat, tools: Sequence[Mapping[str, Any]], prefill: str = "") -> "Constraint":
        """A call of one of the tools, whose schemas have been checked.

        Args:
            prefill: how the call begins that the prompt ends with, as of `ToolFormat.opening`.
        """
        return cls(tuple(_call(tool_format, tool["function"], prefill) for tool in tools), bool(prefill))

    def __or__(self, other: "Constraint") -> "Constraint":
        """Either of them."""
        return Constraint((*self.forms, *other.forms), self.begun and other.begun)

    @property
    def grammar(self) -> str:
        """The same as a grammar of llguidance."""
        lead = "" if self.begun else "LEAD? "
        rules = [f"start: {lead}answer", f"LEAD: {_LEAD}"] if lead else ["start: answer"]
        rules.append("answer: " + " | ".join(f"form{i}" for i in range(len(self.forms))))
        for i, form in enumerate(self.forms):
            rules.append(f"form{i}: {_text(form.before)}value{i}{_text(form.after)}")
            rules.append(f"value{i}: %json {_guided(form.schema)}")
        return "\n".join(rules) + "\n"


def _call(tool_format: ToolFormat, function: Mapping[str, Any], prefill: str) -> Form:
    written = tool_format.render_calls([{"name": function["name"], "arguments": {}}])
    before, _, after = written.rpartition("{}")
    schema = {**parameters(function), "type": "object"}
    return Form(json.dumps(schema, ensure_ascii=False), before.removeprefix(prefill), after)


def _text(literal: str) -> str:
    return f" {json.dumps(literal, ensure_ascii=False)} " if literal else ""


def _guided(schema: str) -> str:
    return json.dumps({**json.loads(schema), _GUIDANCE: _OPTIONS}, ensure_ascii=False)
