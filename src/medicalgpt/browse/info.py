"""What a list of runs says of one folder: a run, a corpus, a pipeline, an evaluation or a look for leaks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import JsonValue

from medicalgpt.runs.headline import Verdict, headline

Kind = Literal["run", "corpus", "pipeline", "evaluation", "leakage"]
State = Literal["finished", "running", "interrupted", "failed"]
Numbers = Mapping[str, float | None]

# Of many held-out numbers these tell most of a stage, the first that there is.
_FIRST: Final = ("eval/score", "eval/rewards/accuracy", "eval/loss")


@dataclass(frozen=True)
class Measured:
    """A held-out number or test score: texts with 95 % intervals ("" and "–" where there is none), and the values themselves."""

    name: str
    before: str
    after: str
    verdict: Verdict
    values: Mapping[str, float | None]

    @property
    def text(self) -> str:
        """Name, and before → after, or the one value there is."""
        return f"{self.name} {self.before} → {self.after}" if self.before else f"{self.name} {self.after}"


@dataclass(frozen=True)
class RunInfo:
    """One folder of a list.

    Attributes:
        name: the folder as seen from where was looked.
        stage: of a run what `medicalgpt train` did; "" where its folder does not tell.
        state: finished; running (a process holds its lock); interrupted (the same command goes on); failed (an error ended it).
        note: what is to be said of the state; "" where that is nothing.
        parents: the runs and corpora that it goes back to directly, as folders.
        rows: how many rows were kept for training. steps: of a run that is not finished, how far its log goes.
        size: bytes on disk, checkpoints included. seconds: of training or measuring.
        changed: when it was finished, else when its log was last written, in UTC.
    """

    path: Path
    name: str
    kind: Kind
    stage: str
    state: State
    note: str = ""
    base: str = ""
    parents: tuple[Path, ...] = ()
    data: tuple[str, ...] = ()
    rows: int | None = None
    measured: tuple[Measured, ...] = ()
    tokens: int | None = None
    step: int | None = None
    size: int = 0
    seconds: float | None = None
    changed: datetime | None = None
    facts: Mapping[str, str] = field(default_factory=dict)

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def first_number(self) -> Measured | None:
        """The number that tells most."""
        by_name = {one.name: one for one in self.measured}
        return next((by_name[name] for name in _FIRST if name in by_name), next(iter(self.measured), None))

    def as_dict(self) -> dict[str, JsonValue]:
        """JSON values; paths as text, times as ISO 8601."""
        numbers: list[JsonValue] = [
            {"name": one.name, **dict(one.values), "verdict": one.verdict} for one in self.measured
        ]
        return {
            "name": self.name,
            "path": str(self.path),
            "kind": self.kind,
            "stage": self.stage,
            "state": self.state,
            "note": self.note,
            "base": self.base,
            "parents": [str(parent) for parent in self.parents],
            "data": list(self.data),
            "rows": self.rows,
            "numbers": numbers,
            "tokens": self.tokens,
            "step": self.step,
            "bytes": self.size,
            "seconds": self.seconds,
            "changed": self.changed.isoformat() if self.changed else None,
        }


def held_out(before: Numbers, after: Numbers) -> tuple[Measured, ...]:
    """Held-out numbers of a run, in the order in which they were measured."""
    found = []
    for line in headline(before, after):
        values = {"before": before.get(line.name), "after": after.get(line.name)}
        for part in ("low", "high"):
            values |= {f"before_{part}": before.get(f"{line.name}_{part}")}
            values |= {f"after_{part}": after.get(f"{line.name}_{part}")}
        texts = (f"{line.before} {line.before_interval}".strip(), f"{line.after} {line.after_interval}".strip())
        found.append(Measured(line.name, *texts, line.verdict, values))
    return tuple(found)


def scored(name: str, value: float | None, low: float | None, high: float | None) -> Measured:
    """A share on a named test, with its interval."""
    text = "–" if value is None else f"{value:.1%}".replace("%", " %")
    if value is not None and low is not None and high is not None:
        text += f" [{low:.1%}, {high:.1%}]".replace("%", " %")
    return Measured(name, "", text, "", {"after": value, "after_low": low, "after_high": high})
