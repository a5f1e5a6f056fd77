"""`medicalgpt evaluate plant` and `evaluate leakage`: whether a model gives away what it was trained on."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from medicalgpt.cli import model_options as option
from medicalgpt.cli.say import say
from medicalgpt.errors import ConfigError
from medicalgpt.generate.model_options import ModelOptions

Kind = Annotated[
    Literal["dialogue", "document"],
    typer.Option(help="Of the rows: dialogue for SFT and what follows, document for PT."),
]


def plant(
    output: Annotated[Path, typer.Argument(metavar="FILE.jsonl", help="New file of training rows.")],
    data: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl", help="Copy its rows there, the canaries among them.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=10_000, help="How many canaries.")] = 12,
    digits: Annotated[int, typer.Option(min=2, max=18, help="Digits of a secret.")] = 3,
    repeats: Annotated[str, typer.Option(metavar="NUMBERS", help="How often each stands there, in turn.")] = "1,4,16",
    languages: Annotated[str, typer.Option(metavar="NAMES", help="en, zh, in turn.")] = "en,zh",
    kind: Kind = "dialogue",
    seed: Annotated[int, typer.Option(min=0, help="Of names, secrets and places.")] = 42,
) -> None:
    """Write training rows with drawn secrets (canaries), and a key to look for them after training."""
    from medicalgpt.evaluation.leakage import canaries

    times, named = [part.strip() for part in repeats.split(",")], [part.strip() for part in languages.split(",")]
    if not all(part.isdecimal() and 0 < int(part) <= 10_000 for part in times):
        raise ConfigError(f"--repeats {repeats}: whole numbers from 1 to 10000 with commas, such as 1,4,16")
    spoken: list[canaries.CanaryLanguage] = [name for name in ("en", "zh") if name in named]
    if not spoken or len(spoken) < len(named):
        raise ConfigError(f"--languages {languages}: en, zh, or both with a comma")
    key = canaries.draw(count, digits, [int(part) for part in times], spoken, kind, seed)
    place = canaries.plant(key, output, data)
    total = sum(one.repeats for one in key.canaries)
    say(f"{output}: {count} canaries in {total} rows" + (f" among those of {data}" if data else ""))
    say(f"{place}: the key, which holds the secrets; train on {output}, then: medicalgpt evaluate leakage")


@option.model_command()
def leakage(
    model: option.Model,
    control: Annotated[
        str | None,
        typer.Option(metavar="RUN_OR_PATH", help="A model that has not seen the data; default: the base of the run."),
    ] = None,
    canaries: Annotated[Path | None, typer.Option(metavar="KEY", help="Key that `evaluate plant` wrote.")] = None,
    rows: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="Training data; may be repeated.")] = None,
    kind: Kind = "dialogue",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="So many rows at most, evenly spread.")] = 500,
    tokens: Annotated[int, typer.Option(min=5, help="From so many tokens on a continuation is verbatim.")] = 50,
    candidates: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="A canary is ranked among all secrets, or so many drawn ones.")
    ] = 10_000,
    max_tokens: Annotated[
        int | None, typer.Option(min=16, help="Longest row; default: the run's data.max_tokens, else 1024.")
    ] = None,
    output: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where leakage.json goes.")] = None,
    *,
    options: ModelOptions,
) -> None:
    """Look for planted secrets, and for training rows that a model goes on with. Exit status: 0 no leak, 3 leaks, 4 not trained on."""
    from dataclasses import replace

    from medicalgpt.evaluation.evaluation import usual_folder
    from medicalgpt.evaluation.leakage.measure import Looking
    from medicalgpt.evaluation.leakage.measure import leakage as measure
    from medicalgpt.evaluation.leakage.planted import base_of
    from medicalgpt.evaluation.names import LEAKAGE
    from medicalgpt.generate.open_model import ModelRequest

    looking = Looking(canaries, tuple(rows or ()), kind, limit, tokens, candidates, max_tokens)
    target = output or usual_folder(model, ["leakage"])

    def tell(text: str) -> None:
        say(text, err=True)

    beside = ModelRequest.of(control or base_of(model), replace(options, adapter=None, tokenizer=None), tell)
    found = measure(ModelRequest.of(model, options, tell), beside, looking, target, tell)
    for line in found.lines:
        say(line)
    say(f"written: {target / LEAKAGE}")
    if found.verdict != "PASS":
        raise typer.Exit(3 if found.verdict == "BLOCK" else 4)
