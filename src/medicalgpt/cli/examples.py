"""`medicalgpt examples`: the sample data and configurations, also where the package was installed from a wheel."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from medicalgpt.cli.say import say

app = typer.Typer(help="Copy the configurations and the sample data that come with the package.", no_args_is_help=True)


@app.callback()
def _examples() -> None:
    """Keep `copy` a word of its own while it is the only one."""


@app.command()
def copy(
    folder: Annotated[Path, typer.Argument(help="Where to; made if it is not there.")] = Path("medicalgpt-examples"),
) -> None:
    """Copy configs/ and examples/ into a folder, from which all commands of the documentation work as they stand."""
    from medicalgpt.disk.samples import copy_samples

    for path in copy_samples(folder):
        say(f"copied {path}")
    say(f"cd {shlex.quote(str(folder))} && medicalgpt pipeline run configs/pipelines/dpo.yaml")
