"""The row ledger: every input row ends as kept, truncated, split or dropped with a reason, and the totals add up."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from medicalgpt.errors import DataError

Outcome = Literal["kept", "truncated", "split", "dropped"]


@dataclass
class Ledger:
    """Counts outcomes per input file. A row is `seen` once when read and settled once, by whoever decides its fate."""

    seen: Counter[str] = field(default_factory=Counter)
    settled: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)

    def see(self, file: str, rows: int = 1) -> None:
        """Count rows read from `file`."""
        self.seen[file] += rows

    def settle(self, file: str, outcome: Outcome, reason: str = "", rows: int = 1) -> None:
        """Record the fate of rows of `file`; `dropped` needs a reason."""
        if outcome == "dropped" and not reason:
            raise ValueError("a dropped row needs a reason")
        self.settled[(file, outcome)] += rows
        if reason:
            self.reasons[(outcome, reason)] += rows

    def total(self, outcome: Outcome) -> int:
        """Rows with this outcome over all files."""
        return sum(n for (_, o), n in self.settled.items() if o == outcome)

    def check(self) -> None:
        """Prove that every row seen was settled exactly once.

        Raises:
            DataError: naming the first file whose numbers do not add up.
        """
        for file, rows in self.seen.items():
            ended = sum(n for (f, _), n in self.settled.items() if f == file)
            if ended != rows:
                raise DataError(f"{file}: {rows} rows were read but {ended} were accounted for; this is a defect here")

    def as_dict(self) -> dict[str, Any]:
        """The form written to the manifest."""
        return {
            "rows": sum(self.seen.values()),
            **{o: self.total(o) for o in ("kept", "truncated", "split", "dropped")},  # type: ignore[arg-type]
            "reasons": {f"{o}: {r}": n for (o, r), n in sorted(self.reasons.items())},
            "files": {
                f: {"rows": n, **{o: c for (g, o), c in sorted(self.settled.items()) if g == f}}
                for f, n in sorted(self.seen.items())
            },
        }
