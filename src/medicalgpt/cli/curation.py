"""`medicalgpt data scan FILES` and `medicalgpt data curate`: counts of what is in files, and a corpus that may be trained on."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from medicalgpt.cli.data_options import Encoding, Txt
from medicalgpt.cli.say import say

Review = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Write every piece of personal data with its place into a new file, for your eyes only."
    ),
]


def scan(
    paths: Annotated[list[str], typer.Argument(help="Files, folders, or addresses such as hf://owner/name/split#500.")],
    column: Annotated[
        list[str] | None, typer.Option(help="Which column holds what, e.g. question=提问; repeatable.")
    ] = None,
    encoding: Encoding = "auto",
    txt: Txt = "file",
    suite: Annotated[
        str, typer.Option(metavar="NAMES", help="Tests and suites whose items are looked for, with commas.")
    ] = "",
    tests: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the tests' files lie, however deep.")] = Path(
        "tests"
    ),
    detectors: Annotated[
        str, typer.Option(metavar="NAMES", help="Who looks for personal data, with commas: patterns, names, lac.")
    ] = "patterns,names,lac",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one for each core.")] = None,
    review: Review = None,
) -> None:
    """Count personal data, duplicates, items of tests and rows of poor quality; nothing is changed, and no text is shown.

    Exit status 1: personal data was found.
    """
    import json

    from medicalgpt.config.curation import CurateConfig
    from medicalgpt.config.loader import load
    from medicalgpt.curation.scan import found_personal_data
    from medicalgpt.curation.scan import scan as look
    from medicalgpt.curation.words import report_lines

    source = {
        "paths": paths,
        "columns": {name: there for name, _, there in (one.partition("=") for one in column or [])},
        "encoding": encoding,
        "txt": txt,
    }
    values = {
        "sources": {"files": source},
        "on_bad_row": "drop",
        "max_bad_share": 1.0,
        "output_dir": ".",
        "personal_data.detectors": [name for name in detectors.split(",") if name],
        "personal_data.on_leak": "drop",
        "contamination.tests": [name for name in suite.split(",") if name],
        "contamination.folder": str(tests),
        "contamination.action": "report",
        "scale.workers": workers,
    }
    config = load(CurateConfig, None, [f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in values.items()]).value
    report = look(config, lambda text: say(text, err=True), review)
    for line in report_lines(report):
        say(line)
    if found_personal_data(report):
        raise typer.Exit(1)


def curate(
    overrides: Annotated[Optional[list[str]], typer.Argument(help="key=value, e.g. output_dir=runs/corpus")] = None,  # noqa: UP045
    config: Annotated[
        str | None, typer.Option("--config", "-c", help="YAML file; see `medicalgpt config explain curate`.")
    ] = None,
    review: Review = None,
) -> None:
    """Make a corpus of raw files: quality, personal data, duplicates, items of tests, held-out rows, mix.

    The same command again goes on where it was stopped.
    """
    from medicalgpt.config.curation import CurateConfig
    from medicalgpt.config.loader import load
    from medicalgpt.curation.corpus import Corpus
    from medicalgpt.curation.stage import curate as make
    from medicalgpt.curation.words import report_lines

    resolved = load(CurateConfig, config, overrides or [])
    folder = make(resolved, lambda text: say(text, err=True), review)
    for line in report_lines(Corpus(folder).report):
        say(line)
    say(f"finished: {folder}")
