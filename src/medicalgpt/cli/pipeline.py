"""`medicalgpt pipeline run FILE [key=value …]`."""

from typing import Annotated

import typer

from medicalgpt.cli.say import say

app = typer.Typer(help="Chain stages: PT → SFT → DPO and the like.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Chain stages, each taking the model of the one before."""


@app.command("run")
def run(
    file: Annotated[str, typer.Argument(help="Pipeline file, e.g. configs/pipelines/dpo.yaml.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key=value, or STAGE.key=value, e.g. sft.train.max_steps=50")
    ] = None,
) -> None:
    """Run every stage, skip finished ones, go on with an interrupted one, and print one table.

    Exit status 3: a gate blocked a stage's model, and no later stage was begun.
    """
    from medicalgpt.pipeline.gates import Blocked
    from medicalgpt.pipeline.processes import first
    from medicalgpt.pipeline.run import Interrupted, run_pipeline

    try:
        summary = run_pipeline(file, overrides or [])
        if first():
            typer.echo(summary)
    except Interrupted as stopped:
        say(str(stopped), err=True)
        raise typer.Exit(128 + stopped.signal) from None
    except Blocked as blocked:
        say(f"error: {blocked}", err=True)
        raise typer.Exit(3) from None
