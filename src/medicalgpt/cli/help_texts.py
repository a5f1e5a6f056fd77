"""Help and wrong usage in the chosen language. typer keeps its own words in module constants and methods, which are set here."""

from functools import partialmethod

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
    _translate(context.command, context)


def _translate(command: object, context: typer.Context) -> None:
    """Set the help of a command, its parameters and the commands below it; what is set already has no translation."""
    help_option = getattr(command, "get_help_option", lambda context: None)(context)
    for holder in (command, *getattr(command, "params", ()), help_option):
        for name in ("help", "short_help", "epilog", "rich_help_panel"):
            if text := getattr(holder, name, None):
                setattr(holder, name, translated(text))
    for inner in getattr(command, "commands", {}).values():
        _translate(inner, context)


def translate_error(error: Exception) -> None:
    """Let an error of typer's about wrong usage speak the chosen language."""
    tell = getattr(error, "format_message", None)
    if tell is not None and chosen() != "en":
        said = translated(tell())
        vars(error)["format_message"] = lambda: said
