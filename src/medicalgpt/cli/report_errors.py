"""How a command that fails on purpose ends: one clear message and an exit code, no traceback."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import indent

import typer

from medicalgpt.errors import MedicalGPTError
from medicalgpt.language import translated


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
    """The message on stderr, its further lines under the first; once, where several processes say the same."""
    if _said_by_another(message):
        return
    told, head = translated(message), "error: "
    if told != message:
        head = translated(head)
    hanging = indent(told, " " * len("error: ")).lstrip()
    typer.secho(f"{head}{hanging}", fg=typer.colors.RED, err=True)


def _said_by_another(message: str) -> bool:
    """Whether another process that torchrun started on this machine prints this very message.

    The first to make a file of the message's hash prints it. The file lies where torchrun gathers what its processes
    leave behind: a folder of this start alone, which torchrun removes.
    """
    place = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if not place or int(os.environ.get("LOCAL_WORLD_SIZE", "1")) == 1:
        return False
    mark = Path(place).parent.parent / f"said-{hashlib.sha256(message.encode()).hexdigest()[:32]}"
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return True
    except OSError:  # better twice than never
        return False
    return False
