"""Help and wrong usage in the chosen language. typer keeps its own words in module constants and methods, which are set here."""

import re
from collections.abc import Callable
from functools import partial, partialmethod
from typing import Any

import typer

from medicalgpt.language import chosen, translated

# The words around our own in typer's help and errors.
FRAME = {
    "DEFAULT_STRING": "[default: {}]",
    "REQUIRED_LONG_STRING": "[required]",
    "ARGUMENTS_PANEL_TITLE": "Arguments",
    "OPTIONS_PANEL_TITLE": "Options",
    "COMMANDS_PANEL_TITLE": "Commands",
    "ERRORS_PANEL_TITLE": "Error",
    "ABORTED_TEXT": "Aborted.",
    "RICH_HELP": "Try [blue]'{command_path} {help_option}'[/] for help.",
}
_OPENS, _CLOSES = "（「『“‘《", "，。、；：？！）」』”’》"
_CHINESE = "\u2e80-\u9fff"
WORD = re.compile(rf"\s*(?:[{_OPENS}]*(?:[{_CHINESE}]|[^\s{_CHINESE}{_OPENS}{_CLOSES}]+)[{_CLOSES}]*|\S)\s*")
"""What rich moves to the next line as a whole. Its own are all that stands between spaces; it would cut Chinese sentences off."""


def translate_help(context: typer.Context) -> None:
    """Set all words of the help and errors of a program, from its top command down, if its language is not English."""
    if chosen() == "en":
        return
    from typer import rich_utils

    plain = type(context).formatter_class
    formatter = type(
        "Formatter", (plain,), {"write_usage": partialmethod(plain.write_usage, prefix=translated("Usage: "))}
    )
    frame = [(rich_utils, name, translated(text)) for name, text in FRAME.items()]
    for holder, name, value in [*frame, (type(context), "formatter_class", formatter)]:
        setattr(holder, name, value)
    _let_lines_break()
    _translate(context.command, context)


def _let_lines_break() -> None:
    """Let help break between Chinese characters, and lose nothing where a line is too long all the same."""
    from rich import _wrap
    from typer import rich_utils

    make: Any = rich_utils._make_rich_text
    if not isinstance(make, partial):
        setattr(_wrap, "re_word", WORD)  # noqa: B010  (of a private module: none of its types is known)
        setattr(rich_utils, "_make_rich_text", partial(_folded, make))  # noqa: B010


def _folded(make: Callable[..., Any], **words: Any) -> Any:
    text = make(**words)
    text.overflow = "fold"
    return text


_TEXTS = ("help", "short_help", "epilog", "rich_help_panel", "options_metavar", "subcommand_metavar")


def _translate(command: object, context: typer.Context) -> None:
    """Set the help of a command, its parameters and the commands below it; what is set already has no translation."""
    help_option = getattr(command, "get_help_option", lambda context: None)(context)
    for holder in (command, *getattr(command, "params", ()), help_option):
        for name in _TEXTS:
            if text := getattr(holder, name, None):
                setattr(holder, name, translated(text))
        if describe := getattr(holder, "display_type_rich", None):
            vars(holder)["display_type_rich"] = partial(_told, translated(describe(context)))
        if hasattr(holder, "display_name_raw"):
            _translate_argument(holder)
    for inner in getattr(command, "commands", {}).values():
        _translate(inner, context)


def _told(told: str, ctx: object) -> str:
    return told


def _translate_argument(argument: Any) -> None:
    """Set what an argument is called in the usage and in errors."""
    name: str = argument.display_name_raw
    if (told := translated(name)) != name:
        argument.metavar = told if argument.metavar or argument.nargs == 1 else f"{told}..."


def translate_error(error: Exception) -> None:
    """Let an error of typer's about wrong usage speak the chosen language."""
    tell = getattr(error, "format_message", None)
    if tell is not None and chosen() != "en":
        said = translated(tell())
        vars(error)["format_message"] = lambda: said
