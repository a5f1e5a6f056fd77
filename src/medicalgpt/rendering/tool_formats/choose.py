"""Which tool format applies: by name, by what a chat template says of itself, or by the markers in its text."""

import re
from typing import Final

from medicalgpt.config.near_names import did_you_mean
from medicalgpt.errors import RenderError
from medicalgpt.rendering.tool_formats.base import ToolFormat
from medicalgpt.rendering.tool_formats.glm4 import Glm4
from medicalgpt.rendering.tool_formats.llama3 import Llama3
from medicalgpt.rendering.tool_formats.mistral import Mistral
from medicalgpt.rendering.tool_formats.qwen import Qwen
from medicalgpt.rendering.tool_formats.react import React

FORMATS: Final[dict[str, ToolFormat]] = {f.name: f for f in (React(), Qwen(), Glm4(), Llama3(), Mistral())}
MARKERS: Final = frozenset(marker for tool_format in FORMATS.values() for marker in tool_format.markers)

# The first marker that stands in a template decides: markers of calls first, then headers of families.
_SIGNS: Final = (
    ("<tool_call>", "qwen"),
    ("[TOOL_CALLS]", "mistral"),
    ("<|python_tag|>", "llama3"),
    ("<|observation|>", "glm4"),
    ("[gMASK]", "glm4"),
    ("<|start_header_id|>", "llama3"),
    ("<|im_start|>", "qwen"),
)
_STAMP = re.compile(r"\{#- tool format: (\w+) -#\}\n")


def tool_format(name: str) -> ToolFormat:
    """The format of a name.

    Raises:
        RenderError: there is none.
    """
    if name not in FORMATS:
        raise RenderError(
            f"tool format '{name}' is not known{did_you_mean(name, FORMATS)}; allowed: {', '.join(FORMATS)}"
        )
    return FORMATS[name]


def stamped(source: str, name: str) -> str:
    """A template's text with a comment that names its tool format, so that every front end finds the one of training.

    Raises:
        RenderError: there is no such format.
    """
    return "{#- tool format: " + tool_format(name).name + " -#}\n" + _STAMP.sub("", source)


def named_in(source: str) -> ToolFormat | None:
    """The format that the comment in a template's text names."""
    found = _STAMP.search(source)
    return tool_format(found.group(1)) if found else None


def suited(source: str) -> ToolFormat:
    """The format for a template that names none: its family's, or else ReAct."""
    return FORMATS[next((name for sign, name in _SIGNS if sign in source), React.name)]
