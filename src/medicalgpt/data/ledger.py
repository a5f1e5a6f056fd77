"""The row ledger: every input row ends as kept, truncated, split or dropped with a reason, and the totals add up.

Rows that cannot be used are explained with their place, then stopped at or counted, the same way for every reader.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args

from medicalgpt.data.files import by_folder
from medicalgpt.data.formats.fields import BadRow, NotLearned
from medicalgpt.data.rows import Row, UnknownHeader
from medicalgpt.errors import DataError

Outcome = Literal["kept", "truncated", "split", "dropped"]
MOST_NAMES = 50
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass
class Ledger:
    """Counts outcomes per input file. A row is `seen` once when read and settled once, by whoever decides its fate.

    Dropped rows are bad rows, but for the `over_length` and the `not_learned` ones among them. `unread` counts, by file and
    column, rows that hold something there which nothing read; `skipped` files that were not read, by the folder given and the reason.
    """

    seen: Counter[str] = field(default_factory=Counter)
    settled: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    over_length: int = 0
    not_learned: int = 0
    unread: Counter[tuple[str, str]] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    text: Counter[tuple[str, bool]] = field(default_factory=Counter)
    skipped: Counter[tuple[str, str]] = field(default_factory=Counter)

    def see(self, file: str, rows: int = 1) -> None:
        """Count rows read from `file`."""
        self.seen[file] += rows

    def settle(
        self,
        file: str,
        outcome: Outcome,
        reason: str = "",
        rows: int = 1,
        *,
        over_length: bool = False,
        not_learned: bool = False,
    ) -> None:
        """Record the fate of rows of `file`.

        Args:
            over_length: they were dropped for their length alone. Such rows are no bad rows.
            not_learned: they were dropped as they say themselves that nothing of them is to be learned; no bad rows, either.

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
        self.not_learned += rows if not_learned else 0

    def leave(self, file: str, names: Iterable[str]) -> None:
        """Note the columns of a row that nothing read; of many names in one file only the first are kept apart."""
        for name in names:
            known = (file, name) in self.unread or sum(f == file for f, _ in self.unread) < MOST_NAMES
            self.unread[(file, name if known else "(further columns)")] += 1

    def pass_over(self, skipped: Mapping[tuple[str, str], int]) -> None:
        """Note files of folders that are not read; the same folder once, however many passes are made over it."""
        self.skipped |= Counter(skipped)

    @property
    def bad(self) -> int:
        """Dropped rows that are bad rows."""
        return self.total("dropped") - self.over_length - self.not_learned

    def warn(self, warning: str, rows: int = 1) -> None:
        """Count rows that are used though something about them is odd; no outcome of its own."""
        self.warnings[warning] += rows

    def count_text(self, file: str, characters: int, held_out: bool) -> None:
        """Count text of `file` that is to be trained on, or held out."""
        self.text[(file, held_out)] += characters

    def held_out(self) -> dict[str, Any]:
        """How many characters are held out, of how many, and of which files; empty where none are."""
        files = {file: n for (file, held), n in sorted(self.text.items()) if held and n}
        if not files:
            return {}
        whole = {file: n + self.text[(file, False)] for file, n in files.items()}
        taken, total = sum(files.values()), sum(self.text.values())
        return {
            "characters": taken,
            "of": total,
            "share": round(taken / total, 4),
            "files": {file: {"characters": n, "of": whole[file]} for file, n in files.items()},
        }

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

    def reasons_said(self) -> str:
        """Why rows were not kept as they were, with how many; empty where there is none."""
        return "; ".join(f"{n} × {reason}" for reason, n in self.as_dict()["reasons"].items())

    def commonest_said(self, most: int = 3) -> str:
        """The commonest reasons with how many rows each has, whatever became of the rows."""
        return "; ".join(f"{n} × {reason}" for (_, reason), n in self.reasons.most_common(most))

    def as_dict(self) -> dict[str, Any]:
        """The form written to the manifest."""
        unread = Counter[str]()
        for (_, name), rows in self.unread.items():
            unread[f"the column '{name}' was not read"] += rows
        return {
            "rows": sum(self.seen.values()),
            **{outcome: self.total(outcome) for outcome in OUTCOMES},
            "reasons": {f"{outcome}: {reason}": n for (outcome, reason), n in sorted(self.reasons.items())},
            "warnings": dict(sorted((self.warnings + unread).items())),
            "files": {
                file: {
                    "rows": n,
                    **{o: c for (f, o), c in sorted(self.settled.items()) if f == file},
                    **self._left(file),
                }
                for file, n in sorted(self.seen.items())
            },
            **({"held_out": held_out} if (held_out := self.held_out()) else {}),
            **({"skipped": skipped} if (skipped := by_folder(self.skipped)) else {}),
        }

    def _left(self, file: str) -> dict[str, dict[str, int]]:
        names = {name: rows for (f, name), rows in sorted(self.unread.items()) if f == file}
        return {"unread": names} if names else {}


MOST_EMPTY: Final = 10


def warning_lines(ledger: Mapping[str, Any]) -> list[str]:
    """The warnings of a ledger's `as_dict`, for people; files without a row among them."""
    empty = [file for file, found in ledger["files"].items() if not found["rows"]]
    return [
        *(f"  warning: {count} rows: {warning}" for warning, count in ledger["warnings"].items()),
        *(f"  warning: {file}: {EMPTY}; the other files are read" for file in empty[:MOST_EMPTY]),
        *([f"  warning: {len(empty) - MOST_EMPTY} more files are empty"] if len(empty) > MOST_EMPTY else []),
    ]


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
    not_learned: bool = False


def place(path: str | Path, number: int, line: int | str | None = None) -> str:
    """Where a row stands, for messages: `file:number`, and the line where it is another one."""
    return f"{path}:{number}" + (f" (line {line})" if line is not None else "")


def rejected(path: Path, row: Row, bad: BadRow, allowed: Callable[[], str]) -> Rejected:
    """A row and what is wrong with it; `allowed` as in `convert_rows`."""
    where = f" ({bad.where})" if bad.where else ""
    problem = f"{bad.reason}{where}; allowed: {bad.allowed or allowed()}"
    return Rejected(row, bad.reason, f"{place(path, row.number, row.line)}: {problem}", isinstance(bad, NotLearned))


EMPTY: Final = "the file is empty: it has no rows"
EMPTY_ADVICE: Final = "take it out of the list or fill it"


class EmptyFile(DataError):
    """A file without rows."""

    def __init__(self, path: Path, advice: str = EMPTY_ADVICE) -> None:
        super().__init__(f"{path}: {EMPTY}; {advice}")


def convert_rows(
    path: Path,
    rows: Iterable[Row],
    convert: Callable[[Row], T],
    allowed: Callable[[], str],
    if_empty: str = EMPTY_ADVICE,
) -> Iterator[T | Rejected]:
    """Every row of a file through `convert`; one that raises BadRow comes back as Rejected.

    Args:
        allowed: what a row may be, for those that do not say it themselves.
        if_empty: what to do about a file without rows.

    Raises:
        DataError: while iterating, when the file cannot be read. EmptyFile: it has no rows.
    """
    empty = True
    for row in rows:
        empty = False
        try:
            converted = convert(row)
        except BadRow as bad:
            yield rejected(path, row, bad, allowed)
        else:
            yield converted
    if empty:
        raise EmptyFile(path, if_empty)


def hinted(path: Path, rows: Iterable[T], hint: Callable[[Path], str]) -> Iterator[T]:
    """The rows of a file. Raises DataError with a hint where it is a table whose columns have names of their own."""
    try:
        yield from rows
        return
    except UnknownHeader as unknown:
        problem = f"{unknown}{hint(path)}"
    raise DataError(problem)  # out here, so that it does not carry the rows


@dataclass
class BadRowPolicy:
    """What training does about bad rows: `stop` at the first, or `drop` and count them up to `max_bad_share`.

    `hint` gets a file of which no row could be used so far, and gives what may help, for the end of the error.
    `inside` are the files that a folder or an archive holds: of these, one without rows stands in the ledger with none, and
    only where all are empty it is an error; one that was named is an error in any case.
    """

    on_bad_row: Literal["stop", "drop"]
    max_bad_share: float
    ledger: Ledger
    hint: Callable[[Path], str] = lambda path: ""
    inside: frozenset[Path] = frozenset()
    seen: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    used: Path | None = None  # the last file with a row that can be used
    odd: Path | None = None  # the last one with a row that cannot
    empty: Path | None = None  # the last one without rows

    def read(
        self, path: Path, rows: Iterable[Row], convert: Callable[[Row], T], allowed: Callable[[], str]
    ) -> Iterator[T]:
        """The rows of a file that `convert` can use. The ledger sees all of them; dropped ones are settled here.

        Raises:
            DataError: while iterating, for the first bad row (`stop`); too many of them (`drop`, once ROWS_BEFORE_SHARE
                rows were seen); an empty file that was named.
        """
        before = self.seen
        with suppress(EmptyFile):
            for found in convert_rows(path, hinted(path, rows, self.hint), convert, allowed):
                self.see(path, found if isinstance(found, Rejected) else None)
                if not isinstance(found, Rejected):
                    yield found
        if self.seen == before:
            self.see_none(path)

    def see_none(self, path: Path) -> None:
        """Note a file without rows. Raises EmptyFile where it was named."""
        if path not in self.inside:
            raise EmptyFile(path)
        self.empty = path
        self.ledger.see(str(path), 0)

    def see(self, path: Path, found: Rejected | None) -> None:
        """Count a row of a file; one that cannot be used is settled.

        Raises:
            DataError: as `read`.
        """
        self.seen += 1
        self.ledger.see(str(path))
        if found is None:
            self.used = path
            self._check_share()
        elif found.not_learned:
            self.ledger.settle(str(path), "dropped", found.reason, not_learned=True)
        elif self.on_bad_row == "stop":
            raise DataError(
                f"{found.problem}; correct the row, or set data.on_bad_row=drop to count such rows and go on"
                f"{self._hint(path)}"
            )
        else:
            self.ledger.settle(str(path), "dropped", found.reason)
            self.bad[found.reason] += 1
            self.odd = path
            self._check_share()

    def _hint(self, path: Path | None) -> str:
        return "" if path is None or path == self.used else self.hint(path)

    def finish(self) -> None:
        """Check the share once all files are read. Raises DataError also where no row at all can be used, or there is none."""
        self._check_share(final=True)
        if not self.seen and self.empty is not None:
            raise EmptyFile(self.empty, f"nor has any other file beside it; {EMPTY_ADVICE}")

    def _check_share(self, final: bool = False) -> None:
        if not self.bad:
            return
        count = self.bad.total()
        too_many = count > self.max_bad_share * self.seen or (final and count == self.seen)
        if too_many and (final or self.seen >= ROWS_BEFORE_SHARE):
            most = "; ".join(f"{n} × {reason}" for reason, n in self.bad.most_common(3))
            raise DataError(
                f"{count} of {self.seen} rows read are bad ({count / self.seen:.1%}), allowed are "
                f"{self.max_bad_share:.1%}: {most}; correct the data, or raise data.max_bad_share{self._hint(self.odd)}"
            )
