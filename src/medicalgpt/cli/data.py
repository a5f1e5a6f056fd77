"""`medicalgpt data inspect PATH …`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from medicalgpt.training.inspect import Inspection

app = typer.Typer(help="Look at data before training on it.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Look at data before training on it."""


@app.command("inspect")
def inspect(
    paths: Annotated[list[str], typer.Argument(help="Files or folders.")],
    model: Annotated[str, typer.Option(help="Whose tokenizer and template render the rows.")] = "smollm2-135m",
    template: Annotated[
        str | None, typer.Option(help="Chat template by name or file; default: the model's own.")
    ] = None,
    tool_format: Annotated[str | None, typer.Option(help="As data.tool_format.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="Which column holds what, e.g. question=提问; repeatable.")
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=16, help="As data.max_tokens.")] = 1024,
    over_length: Annotated[str, typer.Option(help="truncate, split or drop.")] = "truncate",
    rows: Annotated[int, typer.Option(min=0, help="How many rendered rows to show of each kind.")] = 3,
) -> None:
    """Detected shape and encoding, counts, token lengths, the row ledger, and rows with their trained tokens in green.

    Prints row content on purpose: do not redirect it into a log when the data is confidential.
    """
    from medicalgpt.config import load
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
    }
    data = load(DataConfig, None, [f"{k}={_quoted(v)}" for k, v in values.items()]).value
    _print(look(paths, data, model, rows))


def _quoted(value: object) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)


def _print(found: "Inspection") -> None:
    from rich.console import Console
    from rich.table import Column, Table

    console = Console(soft_wrap=True)
    files = Table(
        Column("file", overflow="fold", min_width=24), "type", "encoding", "shape", "kind", "rows", "bad", "columns"
    )
    for f in found.files:
        columns = ", ".join(f.columns)
        files.add_row(
            f.path,
            f.type + ("" if f.compression == "none" else " " + f.compression),
            f.encoding,
            f.shape,
            f.kind or "-",
            str(f.rows),
            str(f.bad),
            columns,
        )
    console.print(files)
    for f in found.files:
        for number, reason in f.bad_rows[:10]:
            console.print(f"{f.path}:{number}: {reason}", highlight=False, markup=False)
    for kind, ledger in found.kinds.items():
        total, lengths = ledger.as_dict(), found.lengths[kind]
        outcomes = ", ".join(f"{k} {total[k]}" for k in ("rows", "kept", "truncated", "split", "dropped"))
        console.print(f"{kind}: {outcomes}", highlight=False)
        for reason, count in total["reasons"].items():
            console.print(f"  {count} {reason}", highlight=False, markup=False)
        if len(lengths):
            marks = ", ".join(f"{q:.0%} {int(v)}" for q, v in zip((0.05, 0.5, 0.95), _quantiles(lengths)))
            console.print(
                f"  tokens a sample: {marks}, longest {int(lengths.max())}; {int(lengths.sum())} in all",
                highlight=False,
            )
    for place, text in found.rows:
        console.rule(place)
        console.print(text)
    for place, expected, decoded in found.refused[:3]:
        console.rule(f"refused: {place}")
        console.print(f"expected: {expected!r}\ndecoded:  {decoded!r}", highlight=False, markup=False)


def _quantiles(lengths: Any) -> list[float]:
    import numpy as np

    return [float(v) for v in np.quantile(lengths, [0.05, 0.5, 0.95])]
