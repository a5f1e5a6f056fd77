"""Rows that cannot be used: explained with their place, then stopped at or counted, the same way for every reader."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from medicalgpt.data.formats.fields import BadRow
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.rows import Row
from medicalgpt.errors import DataError

ROWS_BEFORE_SHARE = 200  # fewer rows say little about the share of bad ones; the end is checked in any case

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that cannot be used. `reason` is counted; `problem` also says where the row stands and what is allowed.

    Neither quotes the row: it may be a patient's words.
    """

    row: Row
    reason: str
    problem: str


def place(path: str | Path, number: int, line: int | None = None) -> str:
    """Where a row stands, for messages: `file:number`, and the line where it is another one."""
    return f"{path}:{number}" + (f" (line {line})" if line is not None else "")


def convert_rows(
    path: Path, rows: Iterable[Row], convert: Callable[[Row], T], allowed: Callable[[], str], if_empty: str
) -> Iterator[T | Rejected]:
    """Every row of a file through `convert`; one that raises BadRow comes back as Rejected.

    Args:
        allowed: what a row may be, for those that do not say it themselves.
        if_empty: what to do about a file without rows.

    Raises:
        DataError: while iterating, when the file cannot be read, or has no rows.
    """
    empty = True
    for row in rows:
        empty = False
        try:
            converted = convert(row)
        except BadRow as bad:
            where = f" ({bad.where})" if bad.where else ""
            problem = f"{bad.reason}{where}; allowed: {bad.allowed or allowed()}"
            yield Rejected(row, bad.reason, f"{place(path, row.number, row.line)}: {problem}")
        else:
            yield converted
    if empty:
        raise DataError(f"{path}: the file is empty: it has no rows; {if_empty}")


@dataclass
class BadRowPolicy:
    """What training does about bad rows: `stop` at the first, or `drop` and count them up to `max_bad_share`."""

    on_bad_row: Literal["stop", "drop"]
    max_bad_share: float
    ledger: Ledger
    seen: int = 0
    bad: Counter[str] = field(default_factory=Counter)

    def read(
        self, path: Path, rows: Iterable[Row], convert: Callable[[Row], T], allowed: Callable[[], str]
    ) -> Iterator[T]:
        """The rows of a file that `convert` can use. The ledger sees all of them; dropped ones are settled here.

        Raises:
            DataError: while iterating, for the first bad row (`stop`); too many of them (`drop`, once ROWS_BEFORE_SHARE
                rows were seen); an empty file.
        """
        for found in convert_rows(path, rows, convert, allowed, "take it out of the list or fill it"):
            self.seen += 1
            self.ledger.see(str(path))
            if not isinstance(found, Rejected):
                self._check_share()
                yield found
                continue
            if self.on_bad_row == "stop":
                raise DataError(
                    f"{found.problem}; correct the row, or set data.on_bad_row=drop to count such rows and go on"
                )
            self.ledger.settle(str(path), "dropped", found.reason)
            self.bad[found.reason] += 1
            self._check_share()

    def finish(self) -> None:
        """Check the share once all files are read. Raises DataError also where no row at all can be used."""
        self._check_share(final=True)

    def _check_share(self, final: bool = False) -> None:
        count = self.bad.total()
        too_many = count > self.max_bad_share * self.seen or (final and count == self.seen)
        if count and too_many and (final or self.seen >= ROWS_BEFORE_SHARE):
            most = "; ".join(f"{n} × {reason}" for reason, n in self.bad.most_common(3))
            raise DataError(
                f"{count} of {self.seen} rows read are bad ({count / self.seen:.1%}), allowed are "
                f"{self.max_bad_share:.1%}: {most}; correct the data, or raise data.max_bad_share"
            )
