"""Ratings as training data: pairs for `train dpo` and `train rm` in one file, single verdicts for `train kto` beside it.

A pair is two complete answers to the very same prompt of which one was rated up and one down, or of which a blind
comparison called one the best. Every verdict up or down, paired or not, is also a row of the second file, so a training run
takes one of the two files, never both. A third one has every comparison, as only there all that was said can stand: "as
good" makes no pair.
"""

import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from medicalgpt.data.formats import BadRow
from medicalgpt.data.read_row import row_record
from medicalgpt.data.records import Kind
from medicalgpt.data.rows import open_rows
from medicalgpt.errors import MedicalGPTError, ServeError
from medicalgpt.serve.web.conversation import WebAnswer
from medicalgpt.serve.web.rating_rows import compared_pairs, comparison, pair, verdict
from medicalgpt.serve.web.tally import Tally
from medicalgpt.serve.web.trial import Trial, Verdict

if sys.platform != "win32":
    import fcntl


@dataclass(frozen=True, slots=True)
class Saved:
    """What a rating has added: pairs, and whether the verdict itself was kept."""

    pairs: int
    kept: bool


class Feedback:
    """The files. Threads and processes may share them; a line is written whole or not at all.

    Args:
        path: JSON lines of pairs; single verdicts go to NAME.kto.jsonl beside it, comparisons to NAME.comparisons.jsonl, which
            is made with the first one. New files have mode 0600.

    `tally` counts the comparisons in the file.

    Raises:
        ServeError: the place cannot be written to, or a file there holds rows of another kind.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix != ".jsonl":
            raise ServeError(f"--feedback {path}: ratings are JSON lines; give a name that ends with .jsonl")
        self.pairs, self.verdicts = path, path.with_name(f"{path.stem}.kto.jsonl")
        self.comparisons = path.with_name(f"{path.stem}.comparisons.jsonl")
        self._lock = threading.Lock()
        _check(self.pairs, "preference")
        _check(self.verdicts, "feedback")
        self.tally = Tally.read(self.comparisons)

    def rate(self, answers: Sequence[WebAnswer], answer: WebAnswer, liked: bool | None) -> Saved:
        """Keep the verdict on one of a question's `answers`; None takes it back, and a new one replaces the old.

        Raises:
            ServeError: a file could not be written.
        """
        if not answer.complete:
            return Saved(0, False)
        with self._lock:
            if answer.rating is not None:
                self._forget(answer)
            answer.rating = liked
            if liked is None:
                return Saved(0, False)
            others = [other for other in answers if _is_counterpart(answer, other)]
            rows = [pair(answer, other) if liked else pair(other, answer) for other in others]
            try:
                _append(self.verdicts, [verdict(answer, liked)])
                _append(self.pairs, rows)
            except ServeError:
                with suppress(ServeError):
                    self._forget(answer)
                raise
        return Saved(len(rows), True)

    def compare(self, trial: Trial, said: Verdict) -> Saved:
        """Keep what a reader thinks of answers whose models were not told: the best one makes a pair with each of the others,
        and where none is good, each is rated down.

        Raises:
            ServeError: a file could not be written.
        """
        first, *others = trial.answers
        if not trial.complete or any(other.prompt != first.prompt for other in others):
            return Saved(0, False)
        row, good = comparison(trial, said), trial.best(said)
        pairs = [] if good is None else compared_pairs(trial, row, good)
        bad = trial.answers if said == "bad" else []
        with self._lock:
            try:
                _append(self.comparisons, [row])
                _append(self.pairs, pairs)
                _append(self.verdicts, [verdict(answer, False) for answer in bad])
            except ServeError:
                with suppress(ServeError):
                    for path in (self.comparisons, self.pairs):
                        _remove(path, str(row["comparison"]))
                raise
            self.tally.add(row)
            for answer in trial.answers:
                answer.rating = False if bad else None
                answer.trial = "" if bad else str(row["comparison"])
        return Saved(len(pairs), True)

    def _forget(self, answer: WebAnswer) -> None:
        """Take out what an earlier verdict on this answer has written: it is no longer what the user thinks."""
        answer.rating = None
        for path in (self.pairs, self.verdicts):
            _remove(path, answer.id)


def _is_counterpart(answer: WebAnswer, other: WebAnswer) -> bool:
    if answer.trial and answer.trial == other.trial:  # a comparison has said already which of them is better
        return False
    rated_otherwise = other.rating is not None and other.rating is not answer.rating
    # Prompts differ when the system message was changed, or when a longer answer left less room for old turns.
    return rated_otherwise and other.prompt == answer.prompt and other.text.strip() != answer.text.strip()


def _check(path: Path, kind: Kind) -> None:
    """Refuse a file that can be written to only by harming it."""
    try:
        with _held(path) as fd:
            empty = os.fstat(fd).st_size == 0
        shape = None if empty else row_record(next(iter(open_rows(path, {}))), str(path), {})[0]
    except OSError as error:
        raise ServeError(f"--feedback: {path} cannot be written: {error.strerror}; choose another place") from error
    except (BadRow, MedicalGPTError, StopIteration):
        raise ServeError(f"--feedback: {path} is no file of {kind} rows; choose another name") from None
    found = kind if shape is None else shape.kind
    if found != kind:
        raise ServeError(f"--feedback: {path} holds {found} rows, here {kind} rows are written; choose another name")


@contextmanager
def _held(path: Path) -> Iterator[int]:
    """The file, made if need be, as a descriptor that no other process holds meanwhile."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if sys.platform != "win32":
                fcntl.flock(fd, fcntl.LOCK_EX)
            if path.exists() and os.fstat(fd).st_ino == path.stat().st_ino:  # else it was replaced while we waited
                yield fd
                return
        finally:
            os.close(fd)


def _append(path: Path, rows: Sequence[dict[str, object]]) -> None:
    if not rows:
        return
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8", "backslashreplace")
    with _explained(path), _held(path) as fd:
        size = os.fstat(fd).st_size
        if size and not path.read_bytes().endswith(b"\n"):  # a file of the user's own making
            data = b"\n" + data
        try:
            if os.write(fd, data) < len(data):
                raise OSError(28, "the disk is full")
            os.fsync(fd)
        except OSError:
            os.ftruncate(fd, size)
            raise


def _remove(path: Path, answer: str) -> None:
    """Write the file again without an answer's rows, in one step."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _explained(path), _held(path) as fd:
        lines = path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if answer.encode() not in line]
        try:
            new = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, os.fstat(fd).st_mode & 0o777)
            with os.fdopen(new, "wb") as file:
                file.writelines(kept)
                file.flush()
                os.fsync(new)
            os.replace(temporary, path)
        except BaseException:  # not finally: after the replacing, `temporary` is the next holder's
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ServeError(f"the rating could not be written to {path}: {error.strerror}") from error
