"""The `medicalgpt` command: parse, call one function, print.

A new command is one line in GROUPS (a typer app with sub-commands) or COMMANDS (a single function). Its module imports
heavy things inside its functions only, so that `--help` stays fast.
"""

import sys
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import medicalgpt
from medicalgpt.cli import (
    chat,
    config,
    data,
    demo,
    estimate,
    evaluate,
    examples,
    export,
    generate,
    merge,
    models,
    pipeline,
    quantize,
    report,
    runs,
    score,
    serve,
    train,
    vocab,
)
from medicalgpt.cli.foreign_options import command_hint, option_hint
from medicalgpt.cli.help_texts import translate_error, translate_help
from medicalgpt.cli.report_errors import print_error, report_errors
from medicalgpt.errors import ConfigError
from medicalgpt.kernels.collector import put_off_collecting
from medicalgpt.language import LANGUAGES, choose, translated

GROUPS: dict[str, typer.Typer] = {
    "config": config.app,
    "data": data.app,
    "evaluate": evaluate.app,
    "examples": examples.app,
    "export": export.app,
    "models": models.app,
    "pipeline": pipeline.app,
    "runs": runs.app,
    "vocab": vocab.app,
}
COMMANDS: dict[str, Callable[..., Any]] = {
    "chat": chat.chat,
    "demo": demo.demo,
    "estimate": estimate.estimate,
    "generate": generate.generate,
    "merge": merge.merge,
    "quantize": quantize.quantize,
    "report": report.report,
    "score": score.score,
    "serve": serve.serve,
    "train": train.train,
}


class _Commands(TyperGroup):
    """Ends every command that fails on purpose with one clear message instead of a traceback.

    A word of another tool in place of ours is said to be one. typer's errors are known by their attributes: its classes
    for them are private.
    """

    def get_help(self, ctx: Any) -> str:
        translate_help(ctx)  # `--help` alone comes before the option `--lang`, which does so for commands
        return super().get_help(ctx)

    def invoke(self, ctx: Any) -> object:
        with report_errors():
            try:
                return super().invoke(ctx)
            except typer.Abort:
                raise
            except Exception as error:
                option, at = getattr(error, "option_name", None), getattr(error, "ctx", None)
                if type(error).__name__ == "NoSuchOption" and option and at is not None:
                    known = [name for parameter in at.command.params for name in parameter.opts]
                    hint = option_hint(option, at.info_name or "", known, sys.argv[1:])
                    if hint:
                        error.message += hint  # type: ignore[attr-defined]
                        error.possibilities = None  # type: ignore[attr-defined]
                translate_error(error)
                raise

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except Exception as error:
            if args and args[0] not in self.commands and (hint := command_hint(args[0])):
                error.message = f"No such command {args[0]!r}.{hint}"  # type: ignore[attr-defined]
            raise


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"medicalgpt {medicalgpt.__version__}")
        raise typer.Exit


def _choose_language(context: typer.Context, name: str | None) -> None:
    try:
        choose(name)
        translate_help(context)
    except ConfigError as error:
        print_error(str(error))
        raise typer.Exit(2) from None


# Plain tracebacks for bugs: the pretty ones can show local variables, and those may hold patient text.
app = typer.Typer(cls=_Commands, name="medicalgpt", no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    lang: Annotated[
        str | None,
        typer.Option(
            metavar=" | ".join(LANGUAGES),
            callback=_choose_language,
            is_eager=True,
            help="Language of messages, help and reports; default: MEDICALGPT_LANG, else that of the system.",
        ),
    ] = None,
) -> None:
    """From an open base language model and medical text to a medical assistant: trained, aligned, measured, served."""


for _name, _group in GROUPS.items():
    app.add_typer(_group, name=_name)
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


def main() -> None:
    """Run the command line of this process; exits with 0, 2 (wrong input) or 130 (interrupted)."""
    put_off_collecting()
    # A user of the command line has no use for the place in our code that a warning comes from.
    warnings.formatwarning = lambda message, category, *_: translated(f"warning: {message}") + "\n"
    app(prog_name="medicalgpt")
