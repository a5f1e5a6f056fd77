"""`medicalgpt config`: what keys exist, whether a file is right, and what it amounts to."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medicalgpt.cli.say import say
from medicalgpt.language import translated

if TYPE_CHECKING:
    from medicalgpt.config.explain import Row

app = typer.Typer(no_args_is_help=True, help="Explain, check and resolve configuration files.")

Stage = Annotated[str, typer.Argument(metavar="STAGE", help="pt, sft, dpo …, or curate.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="A YAML file.")]
Plugin = Annotated[
    list[str] | None, typer.Option(metavar="FILE", help="A .py file of yours that registers a stage; may be repeated.")
]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Overrides, e.g. train.max_steps=50.")]


@app.command()
def explain(
    stage: Stage,
    filter_text: Annotated[
        str, typer.Option("--filter", metavar="TEXT", help="Only keys whose name or meaning contains TEXT.")
    ] = "",
    plugin: Plugin = None,
) -> None:
    """List every key with its type, allowed values, default and meaning."""
    from medicalgpt.config.explain import explain, print_rows
    from medicalgpt.config.lookup import schema_of
    from medicalgpt.errors import ConfigError

    _load(plugin)
    rows = explain(schema_of(stage))
    needle = filter_text.lower()
    chosen = [row for row in rows if any(needle in text.lower() for text in _texts(row))]
    if not chosen:
        raise ConfigError(f"no key of stage '{stage}' contains '{filter_text}' in its name or meaning; try less text")
    print_rows(chosen, title=f"medicalgpt {'data' if stage == 'curate' else 'train'} {stage}")


def _texts(row: "Row") -> tuple[str, ...]:
    """What `--filter` looks at: the meaning also in the reader's language."""
    return row.key, row.description, translated(row.description)


@app.command()
def validate(stage: Stage, file: File, overrides: Overrides = None, plugin: Plugin = None) -> None:
    """Check a file; print ok, or every problem with its line."""
    from medicalgpt.config.loader import load
    from medicalgpt.config.lookup import schema_of
    from medicalgpt.config.unused import unused

    _load(plugin)
    resolved = load(schema_of(stage), file, overrides or [])
    for warning in unused(resolved):
        say(warning)
    given = sum(origin != "default" for origin in resolved.origin.values())
    say(f"ok: {file} is a valid {stage} config ({given} keys set, {len(resolved.origin) - given} defaults)")


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="LLaMA-Factory's YAML or JSON, or a script that calls MedicalGPT's or TRL's training."
        ),
    ],
    stage: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Where the file does not tell it, or has several trainings.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A new YAML file; default: it is printed.")
    ] = None,
    dataset_info: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="LLaMA-Factory's dataset_info.json; default: the one beside the data."),
    ] = None,
) -> None:
    """Write a configuration of ours from one of another toolkit. Scripts are read, never run; what cannot be carried over is said."""
    from medicalgpt.errors import ConfigError
    from medicalgpt.migrate.carry import MISSING
    from medicalgpt.migrate.importing import import_config
    from medicalgpt.migrate.written import as_yaml

    if output is not None and output.exists():
        raise ConfigError(f"{output} is there already; name a new file with --output")
    found = import_config(file, stage, dataset_info)
    text = as_yaml(found, file.name)
    if output is None:
        typer.echo(text, nl=False)
    else:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{output} could not be written: {error.strerror}; name another --output") from None
        say(f"written: {output}")
    missing = f", {text.count(MISSING) - 1} to fill in ({MISSING})" if MISSING in text else ""
    say(
        f"{found.given.tool}, {found.stage}: {len(found.values)} keys set, {len(found.left)} words not carried over{missing}; "
        "the reasons stand in the file as comments",
        err=True,
    )


@app.command()
def resolve(stage: Stage, file: File, overrides: Overrides = None, plugin: Plugin = None) -> None:
    """Print the whole config as a run would use it, each value with its origin."""
    from medicalgpt.config.loader import dump, load
    from medicalgpt.config.lookup import schema_of

    _load(plugin)
    typer.echo(dump(load(schema_of(stage), file, overrides or [])), nl=False)


def _load(plugins: list[str] | None) -> None:
    """Run the user's files first, so that their stages are known; without any nothing heavy is imported."""
    if plugins:
        from medicalgpt.training.plugins import load_plugins

        load_plugins(plugins)
