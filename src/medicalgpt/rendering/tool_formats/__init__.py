"""Tool formats: how tools, calls and results are written into a conversation, and read back from an answer."""

from medicalgpt.data.tool_schemas import check_tools
from medicalgpt.rendering.tool_formats.base import ToolFormat, Tools
from medicalgpt.rendering.tool_formats.choose import FORMATS, MARKERS, named_in, suited, tool_format
from medicalgpt.rendering.tool_formats.problems import CallProblem
from medicalgpt.rendering.tool_formats.stream import Call, CallDelta, CallStream, ContentDelta, Delta, Parsed

__all__ = [
    "FORMATS",
    "MARKERS",
    "Call",
    "CallDelta",
    "CallProblem",
    "CallStream",
    "ContentDelta",
    "Delta",
    "Parsed",
    "ToolFormat",
    "Tools",
    "check_tools",
    "named_in",
    "suited",
    "tool_format",
]
