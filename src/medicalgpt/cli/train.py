"""`medicalgpt train STAGE --config FILE [key=value …]`."""

from typing import Annotated, Optional

import typer

from medicalgpt.cli.say import say
from medicalgpt.config.loader import load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.stages import STAGES


def train(
    stage: Annotated[str, typer.Argument(help=", ".join(STAGES))],
    overrides: Annotated[Optional[list[str]], typer.Argument(help="key=value, e.g. train.max_steps=50")] = None,  # noqa: UP045
    config: Annotated[
        str | None, typer.Option("--config", "-c", help="YAML file; see `medicalgpt config explain STAGE`.")
    ] = None,
    plugin: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="FILE", help="A .py file of yours that registers a stage; may be given several times."),
    ] = None,
) -> None:
    """Train one stage into a run folder. The same command again goes on where it was stopped."""
    if plugin:
        from medicalgpt.training.plugins import load_plugins

        load_plugins(plugin)
    resolved = load(stage_schema(stage), config, overrides or [])
    from medicalgpt.api.training import speaks_for_all, train_stage

    outcome = train_stage(resolved)
    from medicalgpt.cli.closing import closing_lines, interrupted_lines

    first = speaks_for_all()
    if outcome.status == "interrupted":
        for line in interrupted_lines(outcome.folder, outcome.signal) if first else ():
            say(line, err=True)
        raise typer.Exit(128 + outcome.signal)
    if first:
        say(f"{outcome.status}: {outcome.folder}")
        for line in closing_lines(outcome.folder, resolved.value):
            say(line)
