"""metrics.jsonl and samples.jsonl: one JSON object a line, written at once, safe against kill -9, rewound on resume.

Write the lines of a step before its checkpoint: `rewind(step)` then leaves exactly what a run never stopped wrote. What a
checkpoint relies on is flushed to the disk before it (`RunFolder.saving`), so that lines and checkpoint survive a power cut
together; of later lines a cut may leave holes of zero bytes, which are no lines.
"""

import json
import math
import numbers
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, SupportsFloat, final

from medicalgpt.disk.failures import explain
from medicalgpt.errors import RunError
from medicalgpt.runs.atomic import write_bytes

NONFINITE = "nonfinite"
Value = SupportsFloat | str | None

Line = dict[str, Any]
"""A line as it was written: "step" and whatever a stage called its numbers, which no schema knows."""


@final
class MetricsLog:
    """Appends numbers to metrics.jsonl. Opening mends a last line torn by a killed process."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        _mend(self.path)

    def append(self, step: int, values: Mapping[str, Value]) -> None:
        """Write one line. NaN and infinities, which JSON lacks, become null and are named under "nonfinite".

        Raises:
            ValueError: a value is called "step" or "nonfinite".
            RunError: the line could not be written; the file is as before.
        """
        reserved = sorted({"step", NONFINITE} & values.keys())
        if reserved:
            raise ValueError(f"a metric cannot be called {reserved[0]!r}")
        line: dict[str, int | float | str | bool | list[str] | None] = {"step": step}
        broken = []
        for name, value in values.items():
            line[name] = plain = _plain(value)
            if isinstance(plain, float) and not math.isfinite(plain):
                line[name] = None
                broken.append(name)
        if broken:
            line[NONFINITE] = broken
        _append(self.path, line)

    def rewind(self, step: int) -> None:
        """Forget everything after `step`, in one step."""
        _rewind(self.path, step)


@final
class SampleLog:
    """Appends sample answers to samples.jsonl."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        _mend(self.path)

    def append(
        self,
        step: int,
        prompt: str | Sequence[Mapping[str, object]],
        answer: str,
        *,
        reference: str | None = None,
        stopped: bool | None = None,
        source: str | None = None,
        score: float | None = None,
    ) -> None:
        """Write one answer.

        `prompt` is running text or messages (`{"role": …, "content": …}`), `reference` the answer in the data,
        `stopped` whether the model ended it with a stop token, `source` the row it came from, `score` what the reward
        gave for it. Raises RunError.
        """
        line: dict[str, object] = {"step": step, "prompt": prompt, "answer": answer}
        line |= {"reference": reference, "stopped": stopped, "source": source, "score": score}
        _append(self.path, {name: value for name, value in line.items() if value is not None})

    def rewind(self, step: int) -> None:
        """Forget everything after `step`, in one step."""
        _rewind(self.path, step)


def read(path: str | Path) -> list[Line]:
    """All lines of a log; a last line torn by a killed process is left out.

    Raises:
        RunError: the file cannot be read, or another line is no JSON object with a step.
    """
    return [parsed for _, parsed in _lines(Path(path))]


def _plain(value: Value) -> int | float | str | bool | None:
    """The JSON value of a Python, NumPy or one-element tensor number."""
    if value is None or isinstance(value, (bool, str)):
        return value
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def _lines(path: Path) -> Iterator[tuple[bytes, Line]]:
    try:
        *whole, rest = path.read_bytes().split(b"\n")
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from error
    for number, raw in enumerate(whole, start=1):
        parsed = parse_line(raw)
        if parsed is None and b"\0" in raw:  # JSON has none: blocks that never came to the disk
            continue
        if parsed is None:
            raise RunError(f"{path}:{number}: not a JSON object with a whole-number step; delete or repair this line")
        yield raw, parsed
    parsed = parse_line(rest)
    if parsed is not None:
        yield rest, parsed


def parse_line(raw: bytes) -> Line | None:
    """A line of a log; None where it is torn or no JSON object with a whole-number step."""
    try:
        parsed = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) and type(parsed.get("step")) is int else None


def _mend(path: Path) -> None:
    """Make the file end with a whole line, so that the next one does not glue to a torn one."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if size == 0:
                return
            file.seek(-1, os.SEEK_END)
            if file.read(1) == b"\n" and not _has_holes(file):
                return
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from error
    write_bytes(path, b"".join(raw + b"\n" for raw, _ in _lines(path)))


def _has_holes(file: IO[bytes]) -> bool:
    file.seek(0)
    return any(b"\0" in block for block in iter(lambda: file.read(1 << 20), b""))


def _append(path: Path, line: Mapping[str, object]) -> None:
    text = json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"
    # A lone surrogate in a generated text becomes its JSON escape and reads back as what it was.
    data = text.encode("utf-8", "backslashreplace")
    before: int | None = None
    try:
        with path.open("ab") as file:
            before = file.tell()
            file.write(data)
    except OSError as error:
        if before is not None:
            with suppress(OSError):
                os.truncate(path, before)
        raise RunError(f"{path} could not be written: {explain(error, path.parent)}") from error


def _rewind(path: Path, step: int) -> None:
    if not path.exists():
        return
    lines = list(_lines(path))
    kept = [raw + b"\n" for raw, parsed in lines if parsed["step"] <= step]
    if len(kept) < len(lines):
        write_bytes(path, b"".join(kept))


def held_out_numbers(metrics: Path, step: int) -> dict[str, float]:
    """The held-out numbers that a run wrote at one step, for a run that goes on; empty when it wrote none."""
    return {k: v for line in read(metrics) if line["step"] == step for k, v in line.items() if k.startswith("eval/")}
