"""What a chat template says about itself: the comment at the head of its file, read by code.

The comment is part of the template's text, so it is saved with the model and means the same wherever the model answers.
A file of the user's may have one too; docs/templates.md shows how.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Any, Final, Literal, get_args

import yaml

from medicalgpt.data.records import Message
from medicalgpt.errors import RenderError

System = Literal["own", "first user turn", "last user turn", "none"]
LONGEST: Final = 20_000
"""Characters of a head."""

EOS = "eos_token"
"""Stands among the stops for whatever end-of-sequence token the tokenizer has."""

_OPENING = re.compile(r"\{#-?\s*medicalgpt template\n")


@dataclass(frozen=True, slots=True)
class TemplateInfo:
    """The head of a chat template.

    `stop` are the strings that end an answer; the first one is what the template writes after it. `system` is where a
    system message goes: a place of its own, the first or the last user turn, or nowhere. `default_system` is written when
    a conversation has none (an empty one too, where the format has an empty block), None: nothing is.
    `source` and `url` say whose format it is.
    """

    source: str
    url: str
    stop: tuple[str, ...] = (EOS,)
    system: System = "own"
    default_system: str | None = None


def named_templates() -> list[str]:
    """Names of the templates that ship with this package."""
    folder = files("medicalgpt.rendering").joinpath("templates")
    return sorted(p.name[: -len(".jinja")] for p in folder.iterdir() if p.name.endswith(".jinja"))


def named_source(name: str) -> str:
    """The text of a named template."""
    return files("medicalgpt.rendering").joinpath("templates", f"{name}.jinja").read_text(encoding="utf-8")


def named_info(name: str) -> TemplateInfo:
    """The head of a named template."""
    info = read_info(named_source(name), name)
    assert info is not None, f"{name}.jinja has no head"
    return info


def read_info(source: str, name: str) -> TemplateInfo | None:
    """The head of a template's text, or None where it has none.

    Raises:
        RenderError: a key is missing, unknown or has a value that is not allowed.
    """
    found = _OPENING.search(source)
    end = source.find("#}", found.end()) if found else -1
    if not found or end < 0:
        return None
    head = source[found.end() : end].removesuffix("-")
    if len(head) > LONGEST:
        raise RenderError(
            f"chat template '{name}': the comment at its head has {len(head):,} characters, allowed: {LONGEST:,}"
        )
    try:
        given = yaml.safe_load(head)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # no such date, and lists within lists
        said = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise RenderError(f"chat template '{name}': the comment at its head is not YAML: {said}") from error
    return TemplateInfo(**_checked(given, name))


def _checked(given: Any, name: str) -> dict[str, Any]:
    known = [field.name for field in fields(TemplateInfo)]
    given = given if isinstance(given, dict) else {}
    wrong = [
        *(f"{key} is not known" for key in given if key not in known),
        *(f"{key} is missing" for key in ("source", "url") if not isinstance(given.get(key), str)),
    ]
    stop = given.get("stop", [EOS])
    if not isinstance(stop, list) or not stop or not all(isinstance(text, str) and text for text in stop):
        wrong.append("stop must be a list of texts")
    if given.get("system", "own") not in get_args(System):
        wrong.append(f"system must be one of {', '.join(get_args(System))}")
    if not isinstance(given.get("default_system"), str | None):
        wrong.append("default_system must be a text")
    if wrong:
        raise RenderError(f"chat template '{name}': the comment at its head: {'; '.join(wrong)}")
    return {**given, "stop": tuple(stop)}


def check_system(info: TemplateInfo, name: str, messages: Sequence[Message]) -> None:
    """Refuse a system message that the template has no place for, rather than leave it out in silence.

    Raises:
        RenderError: naming the template.
    """
    if info.system == "none" and any(m.role == "system" for m in messages):
        raise RenderError(
            f"chat template '{name}' ({info.source}) has no place for a system message; leave it out (data.system, "
            "--system, or the rows' own), or choose a template that takes one (`medicalgpt models templates` lists them)"
        )
