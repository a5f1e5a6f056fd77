"""`medicalgpt chat`: talk to a model in the terminal, or ask it line by line through a pipe."""

import contextlib
import sys
import threading
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from medicalgpt.cli import model_options as option
from medicalgpt.config.emergency import Emergency, chosen
from medicalgpt.generate.model_options import ModelOptions

if TYPE_CHECKING:
    from medicalgpt.generate.engine import Engine
    from medicalgpt.generate.sampling import Sampling


@option.model_command(
    sampling=option.SamplingOptions(), seed_help="Seed of the answers; default: a new one.", inference_only=True
)
def chat(
    options: ModelOptions,
    sampling: option.SamplingOptions,
    model: option.Model,
    system: option.System = None,
    no_history: option.NoHistory = False,
    emergency: option.Emergency = None,
    thinking: Annotated[
        Literal["show", "hide"], typer.Option(help="Thoughts of a model that thinks before it answers.")
    ] = "show",
) -> None:
    """Talk to a model. Not a doctor: for education and research."""
    settings, called = sampling.sampling(new_seed()), chosen(emergency)
    from medicalgpt.generate.engine import Engine

    engine = Engine.open(model, **vars(options))
    talk(engine, settings, system, history=not no_history, thinking=thinking, emergency=called)


def new_seed() -> int:
    """A seed that no earlier chat had."""
    import secrets

    return secrets.randbelow(2**31)


def talk(
    engine: "Engine",
    sampling: "Sampling",
    system: str | None,
    history: bool,
    thinking: Literal["show", "hide"] = "show",
    emergency: Emergency | None = None,
) -> None:
    """The terminal chat: with editing at a keyboard, line by line from a pipe."""
    from rich.console import Console

    from medicalgpt.serve.chat import Chat

    typed = sys.stdin.isatty()
    if typed:  # what is piped is there already
        threading.Thread(target=_make_ready, args=(engine,)).start()
    read = _typed if typed else _piped
    Chat(engine, sampling, read, Console(highlight=False), system, history, thinking, emergency).run()


def _make_ready(engine: "Engine") -> None:
    """While the first question is typed. What goes wrong here comes again with the answer, and is said there."""
    with contextlib.suppress(Exception):
        engine.make_ready()


def _typed() -> str:
    """A line from the keyboard, with editing where the platform has it."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 (importing it is what gives `input` its editing)
    return input("\n› ")


def _piped() -> str:
    from medicalgpt.errors import ServeError

    try:
        line = sys.stdin.readline()
        line.encode()  # half characters, which some locales let through
    except UnicodeError:
        raise ServeError("a line of the input is not valid UTF-8; convert the input first") from None
    if not line:
        raise EOFError
    return line
