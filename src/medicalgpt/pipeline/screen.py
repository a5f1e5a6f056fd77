"""The last screen of a pipeline: the table, short answers side by side in the terminal's width, and what to make of them."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from medicalgpt.config.base import StageConfig
from medicalgpt.errors import ModelError
from medicalgpt.language import translated

MEANINGS = {
    "document perplexity": "among how many equally likely tokens the model hesitates in documents; lower is better",
    "answer loss": "how unlikely the data's answers are, in nats per token; lower is better",
    "preference accuracy": "share of answer pairs of which the model finds the preferred one likelier; 50 % is chance. It says "
    "nothing of whether answers are medically right",
    "preference margin": "by how much it is likelier, in nats per token; higher is better",
    "stop rate": "share of answers that end by themselves",
}  # fmt: skip
_SHORT = 240  # characters of an answer on the screen
_NARROWEST = 34  # columns of the terminal for one answer


@dataclass(frozen=True, slots=True)
class Row:
    """A number's name, its text with interval by model, and how many held-out rows it rests on."""

    name: str
    cells: dict[str, str]
    rows: int


def meanings(rows: Sequence[Row]) -> Iterator[str]:
    """What each number means and on how many rows it was measured."""
    for row in rows:
        if row.name in MEANINGS:
            yield f"{row.name} ({row.rows:,} rows): {MEANINGS[row.name]}."


def show(rows: Sequence[Row], answers: Sequence[tuple[str, dict[str, str]]], console: Console) -> None:
    """Print the numbers, what they mean, and the answers, as wide as the terminal is."""
    if not rows:
        return
    models = list(rows[0].cells)
    table = Table(translated("held-out, 95 % interval"), *models, title=translated("before → after each stage"))
    for row in rows:
        table.add_row(translated(row.name), *row.cells.values())
    # A soft-wrapping console leaves cells as long as they are, which tears a table apart.
    console.print(table, soft_wrap=False)
    for line in meanings(rows):
        console.print(translated(line), highlight=False, markup=False, soft_wrap=False)
    # Where not all answers find room, the first and the last model's are the ones to compare.
    shown = models if console.width >= _NARROWEST * len(models) else [models[0], models[-1]]
    for question, by_model in answers:
        side = Table(*shown, title=Text(question), show_lines=True, expand=True)
        for column in side.columns:
            column.ratio, column.overflow = 1, "fold"
        side.add_row(*(Text(short(by_model[name])) for name in shown))
        console.print(side, soft_wrap=False)


def short(answer: str) -> str:
    """An answer in one paragraph, cut at a word where it is long."""
    text = " ".join(answer.split())
    if len(text) <= _SHORT:
        return text
    cut = text[:_SHORT].rpartition(" ")[0]
    return f"{cut if len(cut) > _SHORT // 2 else text[:_SHORT]} …"


def caution(base: str, stages: Sequence[Any], file: str, trust: bool = False) -> Iterator[str]:
    """What a base of this size can and cannot, and which larger one this machine could train, with the command.

    Args:
        stages: the configs of the pipeline's stages.
        file: the pipeline's file.
    """
    from medicalgpt.memory.estimate import gigabytes, setup_of  # lazy: heavy
    from medicalgpt.memory.larger import largest_that_fits  # lazy: heavy
    from medicalgpt.memory.shape import shape_of_model  # lazy: heavy

    with suppress(ModelError):  # what was trained and measured by now needs no advice to be right
        count = shape_of_model(base, None, trust).parameters
        if count > 3e9:
            yield "Answers of a language model can be wrong in ways that sound right: no medical advice."
            return
        yield (
            f"These answers come from a base of {count / 1e6:,.0f} million parameters. It can learn the form: to answer in the "
            "tone of the data, to stop, to prefer one kind of answer. It cannot know medicine: what it says of doses, "
            "causes and emergencies is often wrong, however fluent. Follow none of it; judge the numbers."
        )
        setups = [setup_of(stage) for stage in stages if isinstance(stage, StageConfig)]
        found = largest_that_fits(max(setups, key=lambda setup: setup.row_tokens), 2 * count)
        if found is None:
            yield "By the estimate no larger base of our list fits into this machine: medicalgpt estimate --table"
            return
        yield (
            f"By the estimate this machine could train {found.name} ({found.parameters / 1e9:.1f} billion parameters, about "
            f"{gigabytes(found.need)} of {gigabytes(found.free)} free with adapters; about {found.parameters / count:.0f} times "
            "the time a token):"
        )
        yield from _how_to_train(found.name, shlex.quote(file))


def _how_to_train(name: str, file: str) -> Iterator[str]:
    """The command that trains a hub's base; where no hub is asked, how the base gets here."""
    from medicalgpt.hub.repository import offline  # lazy: heavy
    from medicalgpt.models.fetch import is_here  # lazy: heavy

    folder = name.rpartition("/")[2].lower()
    command = f"  medicalgpt pipeline run {file} base={{}} output_dir=runs/{folder}"
    if offline() and not is_here(name):
        yield "HF_HUB_OFFLINE is set and this base is not here yet. On a machine with a network:"
        yield f"  medicalgpt models pull {name} --to {folder}"
        yield f"and here, with the folder {folder} copied to where you are now:"
        yield command.format(f"./{folder}")
        return
    yield command.format(name)
    if not offline():
        yield f"Without a network: medicalgpt models pull {name} --to {folder} on another machine, and base=./{folder} here"
