"""All rows of some files through their work, in order: on every core where there is much, here where there is little."""

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from medicalgpt.data.formats.fields import named
from medicalgpt.data.guess import hint
from medicalgpt.data.ledger import BadRowPolicy, Ledger
from medicalgpt.data.read_row import ACCEPTED, ReadRow
from medicalgpt.data.reader import Reader, checked_columns
from medicalgpt.data.records import Kind
from medicalgpt.data.rows import Reading
from medicalgpt.data.sources import Given, find
from medicalgpt.data.split import Split
from medicalgpt.data.storage import storage, stored_size
from medicalgpt.rendering.progress import Progress
from medicalgpt.rendering.renderer import Renderer
from medicalgpt.rendering.row_work import Act, Chunk, Records, RowKey, RowTrees, RowWork, chunks
from medicalgpt.rendering.workers import Workers, WorkersError

T = TypeVar("T")
BYTES_FOR_ONE: Final = 4 << 20
"""Of data for each process: those that come to help must be loaded first, which takes seconds."""
_THREADS: Final = "TOKENIZERS_PARALLELISM"
_BYTES: Final = 3  # of a character, at most but for rare ones
_PACKED: Final = 4  # compressed text is about so many times longer


@dataclass(frozen=True)
class Input:
    """Which files are read, and how strictly."""

    work: RowWork
    files: list[Path]
    policy: BadRowPolicy
    reading: Reading
    strict_columns: bool
    name: str

    @classmethod
    def of(
        cls, job: Renderer, paths: Sequence[Given], ledger: Ledger, name: str, *, strict: bool, replay: bool = False
    ) -> "Input":
        """Files read with the job's own settings, or as replay.

        Raises:
            DataError: the paths or columns.
        """
        d = job.data
        columns = {} if replay else checked_columns(d.columns)
        kind: Kind = "document" if replay else job.kind
        reading = Reading.of(d)
        found = find(paths, reading, named(columns))
        ledger.pass_over(found.skipped)
        hinted = partial(hint, columns, ACCEPTED[kind], reading)
        policy = BadRowPolicy(
            *(("stop", 0.05) if replay else (d.on_bad_row, d.max_bad_share)),
            ledger=ledger,
            hint=hinted,
            inside=found.inside,
        )
        return cls(
            RowWork(job, kind, columns), found.files, policy, found.limited(reading), strict and not replay, name
        )

    @property
    def size(self) -> int:
        """About how many bytes of text there are."""
        return sum(stored_size(path) * (1 if storage(path) == "none" else _PACKED) for path in self.files)


@dataclass
class RowStream:
    """Rows read and worked on by `asked` processes (None: by as many as the data is worth, up to all cores).

    What comes out does not depend on their number.
    """

    asked: int | None = 1
    progress: Progress = field(default_factory=Progress)
    _workers: Workers | None = None
    _alone: bool = False
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        self._open.enter_context(tokenizing_here())
        self._open.enter_context(heap_left_alone())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()
        if self._workers is not None:
            self._workers.close()
        self.progress.close()

    def keys(self, given: Input) -> Iterator[RowKey]:
        """What the split asks of each row that can be read. Raises DataError as `read`."""
        yield from self._through(given, "reading", given.work, RowWork.keys, lambda: "none")

    def trees(
        self, given: Input, split: Split, records: Callable[[], Records] = lambda: "none", keyed: bool = False
    ) -> Iterator[RowTrees]:
        """Each row that can be read, rendered, with its key where it is `keyed`. Raises DataError as `read`."""
        work = RowWork(given.work.renderer, given.work.kind, given.work.columns, split, keyed)
        yield from self._through(given, "rendering", work, RowWork.trees, records)

    def _through(
        self, given: Input, doing: str, work: RowWork, act: Act[T], records: Callable[[], Records]
    ) -> Iterator[T]:
        reader = Reader(work.kind, work.columns, given.policy, given.reading)
        self.progress.begin(f"{given.name}: {doing}")
        given_rows = chunks(given.files, named(work.columns), given.reading, given.policy.hint)
        asked = (chunk._replace(records=records()) for chunk in given_rows)
        done = self._mapped(given, work, act, asked)
        for number, results in groupby(done, key=itemgetter(0)):
            rows = chain.from_iterable(self._counted(found) for _, found in results)
            for found in reader.accept(given.files[number], rows):
                assert found.value is not None
                yield found.value
        reader.finish(given.strict_columns)
        self.progress.end()

    def _counted(self, found: list[ReadRow[T]]) -> list[ReadRow[T]]:
        self.progress.count(len(found))
        return found

    def _mapped(
        self, given: Input, work: RowWork, act: Act[T], asked: Iterator[Chunk]
    ) -> Iterator[tuple[int, list[ReadRow[T]]]]:
        workers = self._helpers(given)
        work.renderer.template.encoder.expect(given.size // _BYTES)
        if workers is not None:
            for chunk in islice(asked, 1):  # what it shows about tokenizer and template goes along with the work
                yield chunk.file, act(work, chunk)
            try:
                workers.give(work)
            except WorkersError as error:
                self.progress.say(f"reading with one process: {error}")
                workers.close()
                self._workers, self._alone, workers = None, True, None
        if workers is not None:
            yield from workers.map(work, act, asked)
        else:
            for chunk in asked:
                yield chunk.file, act(work, chunk)

    def _helpers(self, given: Input) -> Workers | None:
        count = self.asked if self.asked is not None else min(cores(), given.size // BYTES_FOR_ONE)
        if count < 2 or self._alone:
            return None
        if self._workers is None:
            self._workers = Workers(count - 1, self.progress.say)
        return self._workers


@contextmanager
def tokenizing_here() -> Iterator[None]:
    """Within the block a text is encoded on the thread that asks, unless the user has set the variable: one row at a time is
    too little for the library's threads, whose waking takes a fifth of the time.
    """
    if _THREADS in os.environ:
        yield
        return
    os.environ[_THREADS] = "false"
    try:
        yield
    finally:
        del os.environ[_THREADS]


@contextmanager
def heap_left_alone() -> Iterator[None]:
    """Within the block the garbage collector does not go through what was there before it: rows come and go in such numbers that it
    would several times, 0.2 s each where torch and transformers are loaded.
    """
    if gc.get_freeze_count():  # somebody else's, which `unfreeze` would undo
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
