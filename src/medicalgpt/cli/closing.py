"""The last lines of a run: what it reached, where the report lies, and how to go on."""

import shlex
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from medicalgpt.config.base import StageConfig
from medicalgpt.config.data_source import DataSource, path_of
from medicalgpt.data.sources import find
from medicalgpt.hub.address import parse
from medicalgpt.language import translated
from medicalgpt.language.marks import bracketed
from medicalgpt.runs import manifest
from medicalgpt.runs.folder import RunFolder
from medicalgpt.runs.headline import headline, held_out_rows

_VERDICTS = {"better": "better", "worse": "WORSE", "unclear": "may be chance: the 95 % intervals overlap", "": ""}


def closing_lines(folder: Path, config: StageConfig) -> Iterator[str]:
    """Numbers before → after of a finished run, its report, and the commands to talk to it, serve and evaluate it.

    Raises:
        RunError: the run's manifest cannot be read.
    """
    record = manifest.read(folder)
    lines = headline(record.before, record.after)
    if lines:
        rows = held_out_rows(record.after)
        if rows:
            yield f"held out ({rows:,} {'row' if rows == 1 else 'rows'}), before → after:"
        else:
            yield "held out, before → after:"
        wide = max(len(line.name) for line in lines)
        for line in lines:
            before, after = (
                " ".join(filter(None, parts))
                for parts in ((line.before, line.before_interval), (line.after, line.after_interval))
            )
            verdict = bracketed(translated(_VERDICTS[line.verdict]), "  ") if line.verdict else ""
            yield f"  {line.name:<{wide}}  {before} → {after}{verdict}"
    yield f"report:    {RunFolder(folder).report}"
    yield from _commands(shlex.quote(str(folder)), config)


def interrupted_lines(folder: Path, number: int) -> Iterator[str]:
    """How a run goes on that the signal `number` interrupted, and where its report lies, if one was written yet."""
    yield f"stopped by {signal.Signals(number).name} with a checkpoint; the same command goes on from {folder}"
    if (report := RunFolder(folder).report).is_file():
        yield f"report:    {report}"


def _named(entry: str | DataSource) -> str:
    """A held-out entry as a command takes it: of a folder the first file, a hub's address at the commit that the run read."""
    if Path(path_of(entry)).is_dir():
        return shlex.quote(str(find([entry]).files[0]))
    address, commit = parse(path_of(entry)), entry.commit if isinstance(entry, DataSource) else None
    return shlex.quote(
        str(replace(address, revision=commit or address.revision, rows=None)) if address else path_of(entry)
    )


def _commands(model: str, config: StageConfig) -> Iterator[str]:
    if config.scores:
        pairs = _named(config.data.eval[0]) if config.data.eval else "pairs.jsonl"
        yield f"evaluate:  medicalgpt score --model {model} --input {pairs} --pairs --output scores.jsonl"
        return
    asked = _named(config.data.eval[0]) if config.data.eval and config.kind != "document" else "questions.txt"
    yield f"chat:      medicalgpt chat --model {model}"
    yield f"serve:     medicalgpt serve --model {model}"
    yield f"evaluate:  medicalgpt generate --model {model} --input {asked} --output answers.jsonl"
