"""What a command says to people, in their language; what programs read is printed by `typer.echo`."""

import typer

from medicalgpt.language import translated


def say(text: str, err: bool = False) -> None:
    """Print a message in the chosen language."""
    typer.echo(translated(text), err=err)


def padded(text: str, wide: int) -> str:
    """A text and blanks up to a column of a terminal, in which Chinese characters are two wide."""
    from rich.cells import cell_len

    return text + " " * max(0, wide - cell_len(text))
