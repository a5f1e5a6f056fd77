"""What a command says to people, in their language; what programs read is printed by `typer.echo`."""

import typer

from medicalgpt.language import translated


def say(text: str, err: bool = False) -> None:
    """Print a message in the chosen language."""
    typer.echo(translated(text), err=err)
