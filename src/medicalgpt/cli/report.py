"""`medicalgpt report`: one page to sign about a run or a pipeline."""

from pathlib import Path
from typing import Annotated

import typer

from medicalgpt.cli.say import say
from medicalgpt.language import Language, chosen


def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN_OR_PIPELINE", help="The output_dir of a run or a pipeline.")],
    language: Annotated[
        Language | None,
        typer.Option(help="Of the page, by default that of messages; the JSON file is the same in all."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where both files go; default: the folder itself.")
    ] = None,
    before: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Of a run: the evaluation of the model before it, to be compared with."),
    ] = None,
) -> None:
    """Write trust.html and trust.json: verdict and gates, numbers with intervals, safety, data, lineage, what was not measured.

    Nothing is trained, asked or fetched for it; what was not measured is said to be so.
    """
    from medicalgpt.runs.trust_file import NAME, read_trust
    from medicalgpt.trust.page import verdict_word
    from medicalgpt.trust.write import write_report

    page = write_report(folder, language or chosen(), output, before)
    found = read_trust(page.with_name(NAME))
    assert found is not None  # it was just written
    word = verdict_word(found.verdict.word, chosen())
    say(f"{word}: {len(found.gates)} gates, {len(found.tests)} tests, {len(found.not_measured)} not measured")
    say(f"written: {page}, {page.with_name(NAME)}")
