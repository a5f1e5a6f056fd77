"""The row ledger: every input row ends as kept, truncated, split or dropped with a reason, and the totals add up."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from medicalgpt.errors import DataError

Outcome = Literal["kept", "truncated", "split", "dropped"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass
class Ledger:
    """Counts outcomes per input file. A row is `seen` once when read and settled once, by whoever decides its fate.

    Dropped rows are bad rows, but for the `over_length` ones among them.
    """

    seen: Counter[str] = field(default_factory=Counter)
    settled: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    over_length: int = 0
    warnings: Counter[str] = field(default_factory=Counter)

    def see(self, file: str, rows: int = 1) -> None:
        """Count rows read from `file`."""
        self.seen[file] += rows

    def settle(
        self, file: str, outcome: Outcome, reason: str = "", rows: int = 1, *, over_length: bool = False
    ) -> None:
        """Record the fate of rows of `file`.

        Args:
            over_length: they were dropped for their length alone. Such rows are no bad rows.

        Raises:
            ValueError: an unknown outcome, a dropped row without a reason, or over-length rows that were not dropped.
        """
        if outcome not in OUTCOMES:
            raise ValueError(f"unknown outcome {outcome!r}; outcomes are {', '.join(OUTCOMES)}")
        if outcome == "dropped" and not reason:
            raise ValueError("a dropped row needs a reason")
        if over_length and outcome != "dropped":
            raise ValueError(f"over_length says why rows were dropped, and these were {outcome}")
        self.settled[(file, outcome)] += rows
        if reason:
            self.reasons[(outcome, reason)] += rows
        self.over_length += rows if over_length else 0

    def warn(self, warning: str, rows: int = 1) -> None:
        """Count rows that are used though something about them is odd; no outcome of its own."""
        self.warnings[warning] += rows

    def total(self, outcome: Outcome) -> int:
        """Rows with this outcome over all files."""
        return sum(n for (_, o), n in self.settled.items() if o == outcome)

    def check(self) -> None:
        """Prove that every row seen was settled exactly once.

        Raises:
            DataError: naming the first file whose numbers do not add up.
        """
        ended: Counter[str] = Counter()
        for (file, _), rows in self.settled.items():
            ended[file] += rows
        for file in sorted({*self.seen, *ended}):
            if ended[file] != self.seen[file]:
                raise DataError(
                    f"{file}: {self.seen[file]} rows were read but {ended[file]} were accounted for; "
                    "this is a defect in medicalgpt, please report it"
                )

    def as_dict(self) -> dict[str, Any]:
        """The form written to the manifest."""
        return {
            "rows": sum(self.seen.values()),
            **{outcome: self.total(outcome) for outcome in OUTCOMES},
            "reasons": {f"{outcome}: {reason}": n for (outcome, reason), n in sorted(self.reasons.items())},
            "warnings": dict(sorted(self.warnings.items())),
            "files": {
                file: {"rows": n, **{o: c for (f, o), c in sorted(self.settled.items()) if f == file}}
                for file, n in sorted(self.seen.items())
            },
        }
