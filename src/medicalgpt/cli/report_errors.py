"""How a command that fails on purpose ends: one clear message and an exit code, no traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import indent

import typer

from medicalgpt.errors import MedicalGPTError


@contextmanager
def report_errors() -> Iterator[None]:
    """Our own errors are printed and end with 2, Ctrl-C with 130."""
    try:
        yield
    except MedicalGPTError as error:
        print_error(str(error))
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        print_error("interrupted")
        raise typer.Exit(130) from None


def print_error(message: str) -> None:
    """The message on stderr, its further lines under the first."""
    hanging = indent(message, " " * len("error: ")).lstrip()
    typer.secho(f"error: {hanging}", fg=typer.colors.RED, err=True)
