"""`medicalgpt data`: look at files, scan them, make a corpus of them."""

from typing import TYPE_CHECKING, Annotated

import typer

from medicalgpt.cli.curation import curate, scan
from medicalgpt.cli.data_options import Encoding, Txt
from medicalgpt.language import translated
from medicalgpt.language.marks import comma

if TYPE_CHECKING:
    import numpy as np

    from medicalgpt.training.inspect import Inspection

app = typer.Typer(help="Look at data before training on it, and make it fit for that.", no_args_is_help=True)
app.command("scan")(scan)
app.command("curate")(curate)


@app.callback()
def _group() -> None:
    """Look at data before training on it, and make it fit for that."""


@app.command("inspect")
def inspect(
    paths: Annotated[list[str], typer.Argument(help="Files, folders, or addresses such as hf://owner/name/split#500.")],
    model: Annotated[str, typer.Option(help="Whose tokenizer and template render the rows.")] = "smollm2-135m",
    template: Annotated[
        str | None, typer.Option(help="Chat template by name or file; default: the model's own.")
    ] = None,
    tool_format: Annotated[str | None, typer.Option(help="As data.tool_format.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="Which column holds what, e.g. question=提问; repeatable.")
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=16, help="As data.max_tokens.")] = 1024,
    encoding: Encoding = "auto",
    txt: Txt = "file",
    over_length: Annotated[str, typer.Option(help="truncate, split or drop.")] = "truncate",
    rows: Annotated[int, typer.Option(min=0, help="How many rendered rows to show of each kind.")] = 3,
) -> None:
    """Detected shape and encoding, counts, token lengths, the row ledger, and rows with their trained tokens in green.

    Prints row content on purpose: do not redirect it into a log when the data is confidential.
    """
    from medicalgpt.config.loader import load
    from medicalgpt.config.sections import DataConfig
    from medicalgpt.training.inspect import inspect as look

    columns = {name: there for name, _, there in (c.partition("=") for c in column or [])}
    values = {
        "train": paths,
        "template": template,
        "tool_format": tool_format,
        "columns": columns,
        "max_tokens": max_tokens,
        "over_length": over_length,
        "encoding": encoding,
        "txt": txt,
    }
    data = load(DataConfig, None, [f"{k}={_quoted(v)}" for k, v in values.items()]).value
    _print(look(paths, data, model, rows))


def _quoted(value: object) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)


def _print(found: "Inspection") -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    from medicalgpt.data.files import skipped_lines
    from medicalgpt.data.guess import as_setting
    from medicalgpt.data.sources import source_lines

    console = Console(soft_wrap=True, markup=False)  # a name with brackets is no markup
    files = Table(
        Column(translated("file"), overflow="fold", min_width=24),
        *(translated(heading) for heading in ("type", "encoding", "shape", "kind", "rows", "bad", "columns")),
    )
    for f in found.files:
        columns = ", ".join(f.columns)
        files.add_row(
            Text(f.path),
            f.type + ("" if f.compression == "none" else " " + f.compression),
            f.encoding,
            f.shape,
            f.kind or "-",
            str(f.rows),
            str(f.bad),
            Text(columns),
        )
    console.print(files)
    for line in [*source_lines(found.sources), *skipped_lines(found.skipped)]:
        console.print(translated(line), highlight=False)
    for f in found.files:
        for note in f.notes:
            console.print(translated(f"{f.path}: {note}"), highlight=False)
        if len(f.reasons) == 1 and f.bad == f.rows > 1:  # one complaint, not ten times the same
            console.print(translated(f"{f.path}: all {f.rows} rows: {next(iter(f.reasons))}"), highlight=False)
        else:
            for number, reason in f.bad_rows[:10]:
                console.print(translated(f"{f.path}:{number}: {reason}"), highlight=False)
        if f.guess:
            console.print(translated(f"{f.path}: perhaps {as_setting(f.guess)}"), highlight=False)
        for names, what in ((f.unread, "not read"), (f.not_learned, "not learned")):
            for name, count in names.items():
                console.print(translated(f"{f.path}: {what}: {name} ({count} rows)"), highlight=False)
    for kind, ledger in found.kinds.items():
        total, lengths = ledger.as_dict(), found.lengths[kind]
        console.print(
            translated(
                f"{kind}: rows {total['rows']}, kept {total['kept']}, truncated {total['truncated']}, split {total['split']}, "
                f"dropped {total['dropped']}"
            ),
            highlight=False,
        )
        for reason, count in total["reasons"].items():
            console.print(f"  {count} {translated(reason)}", highlight=False)
        if len(lengths):
            marks = comma().join(f"{q:.0%} {int(v)}" for q, v in zip((0.05, 0.5, 0.95), _quantiles(lengths)))
            console.print(
                translated(f"  tokens a sample: {marks}, longest {int(lengths.max())}; {int(lengths.sum())} in all"),
                highlight=False,
            )
        for remark in found.remarks.get(kind, ()):
            console.print(f"  {translated(remark)}", highlight=False)
    for place, text in found.rows:
        console.rule(Text(place))
        console.print(text)
    for place, expected, decoded in found.refused[:3]:
        console.rule(Text(f"refused: {place}"))
        console.print(translated(f"expected: {expected!r}\ndecoded:  {decoded!r}"), highlight=False)


def _quantiles(lengths: "np.ndarray") -> list[float]:
    import numpy as np

    return [float(v) for v in np.quantile(lengths, [0.05, 0.5, 0.95])]
