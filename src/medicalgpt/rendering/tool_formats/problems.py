"""Calls that cannot be used."""

import re
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal[
    "unfinished", "invalid_json", "not_a_call", "unknown_tool", "missing_argument", "wrong_type", "bad_value"
]

TOOL_NAME: Final = re.compile(r"[\w.-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class CallProblem:
    """Why a call cannot be used. `reason` names tools and arguments, never a value: it may be about a patient."""

    kind: Kind
    reason: str
    tool: str | None = None
    argument: str | None = None


def shown_name(name: object) -> str | None:
    """A name that a model wrote, when it is one: anything else could be text in the wrong place."""
    return name if isinstance(name, str) and TOOL_NAME.fullmatch(name) else None
