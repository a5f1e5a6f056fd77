"""Lists, single runs and comparisons on a terminal; tab-separated or plain lines where the output goes elsewhere."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from medicalgpt.browse.compare import Comparison, shortened
from medicalgpt.browse.files import plain
from medicalgpt.browse.info import RunInfo
from medicalgpt.cli.say import padded, say
from medicalgpt.language import Language, translated
from medicalgpt.language.marks import bracketed, colon
from medicalgpt.runs.duration import duration

if TYPE_CHECKING:  # lazy: another start-up's time
    from rich.table import Table
    from rich.text import Text

    from medicalgpt.runs.metrics import Line

COLUMNS: Final = ("name", "stage", "state", "held out, before → after", "from", "data", "size", "time", "changed")
_COLORS: Final = {"finished": "green", "running": "cyan", "interrupted": "yellow", "failed": "red"}
_BARS: Final = "▁▂▃▄▅▆▇█"
_VERDICTS: Final = {"better": "better", "worse": "WORSE", "unclear": "may be chance", "": ""}
_CURVES: Final = ("train/loss", "eval/loss", "train/score", "eval/score", "eval/rewards/accuracy")


def print_list(some: Sequence[RunInfo], of: int, folder: Path) -> None:
    """A row for each; below it what is to be said of those that are not finished."""
    if not some:
        say(f"{'none of ' + str(of) if of else 'no runs'} below {folder}" + (" is like that" if of else ""))
        return
    if not sys.stdout.isatty():
        for row in (COLUMNS, *(_cells(one) for one in some)):
            typer.echo("\t".join(" ".join(cell.split()) for cell in row))
        return
    table = _table([translated(column) for column in COLUMNS])
    for one in some:
        table.add_row(*_texts(_cells(one, translated), {2: _COLORS[one.state]}))
    _print(table)
    say(f"{len(some)} of {of} below {folder}")


def _cells(one: RunInfo, told: Callable[[str], str] = str) -> tuple[str, ...]:
    """The row of a run; `told` puts our own words into the reader's language."""
    number = one.first_number
    language: Language | None = "en" if told is str else None  # what programs read stays as it is
    state = told(one.state) + (bracketed(shortened(told(one.note), 70), language=language) if one.note else "")
    return tuple(
        plain(cell)
        for cell in (
            one.name,
            one.stage or told(one.kind),
            state,
            number.text.removeprefix("eval/") if number else "",
            ", ".join(parent.name for parent in one.parents) or short_base(one.base),
            ", ".join(one.data[:2]) + (f" +{len(one.data) - 2}" if len(one.data) > 2 else ""),
            size_words(one.size),
            duration(one.seconds) if one.seconds is not None else "",
            one.changed.astimezone().strftime("%Y-%m-%d %H:%M") if one.changed else "",
        )
    )


def short_base(base: str) -> str:
    """A model's name; of a folder its last two parts."""
    return base if len(Path(base).parts) < 3 else "…/" + "/".join(Path(base).parts[-2:])


def size_words(size: int) -> str:
    """Bytes in the unit that people read."""
    for unit, of in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= of:
            return f"{size / of:.1f} {unit}"
    return f"{size} B"


def print_one(one: RunInfo) -> None:
    """Everything that fits on one screen."""
    typer.echo(plain(f"{one.path} · {one.stage or translated(one.kind)} · {translated(one.state)}"))
    for name, value in _facts(one):
        if value:
            typer.echo(plain(f"{padded(name, 14)}  {value}"))
    if one.measured:
        say("held out, before → after:" if any(n.before for n in one.measured) else "measured:")
        wide = max(len(number.name) for number in one.measured)
        for number in one.measured[:15]:
            verdict = bracketed(translated(_VERDICTS[number.verdict]), "  ") if number.verdict else ""
            before = f"{number.before} → " if number.before else ""
            typer.echo(plain(f"  {number.name:<{wide}}  {before}{number.after}{verdict}"))
        if len(one.measured) > 15:
            say(f"  and {len(one.measured) - 15} more; --json has them all")


def _facts(one: RunInfo) -> Iterator[tuple[str, str]]:
    from medicalgpt.runs.folder import RunFolder
    from medicalgpt.runs.settings import settings

    yield translated("note"), translated(one.note)
    yield translated("base"), one.base
    yield translated("goes back to"), ", ".join(map(str, one.parents))
    rows = translated(f" ({one.rows:,} rows kept)") if one.rows is not None and one.kind in ("run", "corpus") else ""
    yield translated("data"), ", ".join(one.data) + rows
    yield translated("time"), duration(one.seconds) if one.seconds is not None else ""
    yield translated("step"), f"{one.step:,}" if one.step is not None else ""
    yield translated("tokens"), f"{one.tokens:,}" if one.tokens is not None else ""
    yield translated("size"), size_words(one.size)
    yield translated("changed"), one.changed.astimezone().strftime("%Y-%m-%d %H:%M %Z") if one.changed else ""
    if one.kind == "run":
        for name, value in settings(RunFolder(one.path).config):
            if name != "Training data":
                yield translated(name).lower(), shortened(translated(value), 160)
        report = RunFolder(one.path).report
        yield translated("report"), str(report) if report.is_file() else ""


def print_comparison(found: Comparison, samples: int, same: bool) -> None:
    """Differences first, then numbers, tests, curves as bars, and answers."""
    told = translated if sys.stdout.isatty() else str  # elsewhere programs read it
    differing = [(told(setting.key), *setting.values) for setting in found.differences]
    equal = [(told(setting.key), *setting.values) for setting in found.settings if setting.same]
    rest = "" if same else f"; {len(equal)} are the same (--same shows them)"
    _section(found, translated(f"settings that differ{rest}"), [*differing, *(equal if same else [])])
    _section(
        found, translated("held out, before → after [95 % interval]"), [(row.name, *row.cells) for row in found.numbers]
    )
    _section(found, translated("named tests [95 % interval]"), [(row.name, *row.cells) for row in found.tests])
    curves = [
        (key, *(_bars([value for _, value in curve]) for curve in found.curves[key]))
        for key in _CURVES
        if key in found.curves
    ]
    _section(found, translated("curves: first, course, last (--output draws them in one figure)"), curves)
    for asked in found.samples[:samples]:
        say("")
        for role, text in asked.turns:
            typer.echo(f"{role}{colon()}{shortened(text, 300)}")
        for name, answer in zip(found.names, asked.answers):
            if answer is None:
                say(f"  {plain(name)}: was not asked")
            else:  # the answer is the model's text, and none of ours
                typer.echo(f"  {plain(translated(f'{name} (step {answer[0]})'))}{colon()}{shortened(answer[1], 300)}")
    if len(found.samples) > samples:
        say(f"{len(found.samples) - samples} further questions are on the page of --output, or with --samples")


def _section(found: Comparison, title: str, rows: Sequence[tuple[str, ...]]) -> None:
    if not rows:
        return
    typer.echo(f"\n{title}")
    columns = ("", *found.names)
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            typer.echo("\t".join(shortened(cell, 500) for cell in row))
        return
    table = _table(columns)
    for row in rows:
        table.add_row(*_texts(tuple(shortened(cell, 500) for cell in row), {}))
    _print(table)


def _bars(values: Sequence[float], width: int = 16) -> str:
    """First value, the course as bars of the means of equal parts, last value."""
    if not values:
        return "–"
    parts = min(width, len(values))
    means = []
    for at in range(parts):
        part = values[at * len(values) // parts : (at + 1) * len(values) // parts]
        means.append(sum(part) / len(part))
    low, high = min(means), max(means)
    steps = [round((mean - low) / (high - low) * (len(_BARS) - 1)) if high > low else 0 for mean in means]
    return f"{values[0]:.4g} {''.join(_BARS[step] for step in steps)} {values[-1]:.4g}"


def tail_line(found: "Line | RunInfo") -> str:
    """A line of the log: step and numbers; at the end how the run stands."""
    if isinstance(found, RunInfo):
        note = bracketed(translated(found.note)) if found.note else ""
        return plain(f"{translated(found.state)}{note}{colon()}{found.path}")
    numbers = [f"{key.removeprefix('train/')} {_short(value)}" for key, value in found.items() if key != "step"]
    step = found["step"]
    return plain("  ".join([translated(f"step {step}"), *numbers]))


def tail_json(found: "Line | RunInfo") -> str:
    """The same for programs."""
    return json.dumps(found.as_dict() if isinstance(found, RunInfo) else found, ensure_ascii=False)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(columns: Sequence[str]) -> "Table":
    from rich.table import Table

    table = Table(pad_edge=False, box=None, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _texts(row: Sequence[str], styles: dict[int, str]) -> "Iterator[Text]":
    from rich.text import Text

    for at, cell in enumerate(row):
        yield Text(cell, style=styles.get(at, ""))


def _print(table: "Table") -> None:
    from rich.console import Console

    Console().print(table)
