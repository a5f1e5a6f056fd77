"""Help and wrong usage in the chosen language. typer keeps its own words in module constants and methods, which are set here."""

from typing import Any

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


def translate_frame(context: Any) -> None:
    """Set the words that typer puts around help and errors; once a language other than English is chosen."""
    if chosen() == "en":
        return
    from typer import rich_utils

    for name, text in FRAME.items():
        setattr(rich_utils, name, translated(text))
    plain = type(context).formatter_class

    class Formatter(plain):  # type: ignore[misc, valid-type]  # typer has no public name for it
        def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
            super().write_usage(prog, args, translated("Usage: ") if prefix is None else prefix)

    if not getattr(plain, "translated", False):
        Formatter.translated = True
        type(context).formatter_class = Formatter


def translate_command(command: Any, context: Any) -> None:
    """Set the help of a command, its parameters and the commands below it, each once."""
    if chosen() == "en" or getattr(command, "translated", False):
        return
    command.translated = True
    for holder in filter(None, (command, *command.params, command.get_help_option(context))):
        for name in ("help", "short_help", "epilog", "rich_help_panel"):
            if text := getattr(holder, name, None):
                setattr(holder, name, translated(text))
    for inner in getattr(command, "commands", {}).values():
        translate_command(inner, context)


def translate_error(error: Any) -> None:
    """Let an error of typer's about wrong usage speak the chosen language."""
    if chosen() != "en" and hasattr(error, "format_message"):
        said = error.format_message()
        error.format_message = lambda: translated(said)
