"""Filling the stores of a stage: what rows are read, how often, and which store their trees go to."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from medicalgpt.data.key_table import KeyTable
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.records import Source
from medicalgpt.data.split import Split, split_asked
from medicalgpt.errors import RenderError
from medicalgpt.rendering.first_rows import FirstRows, records_at
from medicalgpt.rendering.renderer import Renderer
from medicalgpt.rendering.row_stream import Input, RowStream
from medicalgpt.rendering.row_work import RowKey, RowTrees
from medicalgpt.rendering.store import StoreWriter
from medicalgpt.rendering.undivided import Undivided


@dataclass
class Filling:
    """Stores in the making, in `temp`. Each row is read once, but of documents that may be held out in passages."""

    job: Renderer
    rows: RowStream
    temp: Path
    stack: ExitStack
    ledger: Ledger = field(default_factory=Ledger)
    first_rows: FirstRows = field(default_factory=FirstRows)
    notes: list[str] = field(default_factory=list)
    writers: dict[str, StoreWriter] = field(default_factory=dict)
    held_out: Iterator[Source] = field(default_factory=lambda: iter(()))
    """Rows that are held out, where that was known only once all were read."""
    _all_rows: Undivided | None = None

    def read(self) -> None:
        """Read all rows, and put their trees into the stores where it is known which; else `divide` does that."""
        data = self.job.data
        if data.eval:
            self._train_and_eval()
        elif data.eval_fraction == 0:
            self._divided(Split())
        elif self.job.kind == "document":
            self._divided(self._split_documents())
        else:
            self._undivided()
        if data.replay and self.job.kind == "document":
            replay = self._open("replay")
            for found in self.rows.trees(self._input("replay"), Split()):
                _write(self.job, found, (replay, None), self.ledger, None)

    def divide(self) -> None:
        """Put trees into their stores where what is held out was not known as they were read. Nothing is read any more."""
        if (all_rows := self._all_rows) is None:
            return
        split = all_rows.split(self.job.data.eval_fraction, self.job.seed)
        self.notes += _said(split)
        train, held_out = self._open("train"), self._open("held_out") if split else None
        all_rows.divide(split, train, held_out, self.ledger)
        self.held_out = all_rows.held_out(split)

    def read_again(self) -> None:
        """The first of the held-out rows, where they were not known as such when they were read."""
        given = self._input("train")
        for record in records_at(self.held_out, self.job.kind, given.work.columns, given.reading):
            self.first_rows.add_held_out(record)
            if self.first_rows.full:
                break

    def _train_and_eval(self) -> None:
        """Two lots of files; held out is all of the second."""
        ours, theirs = self._keys("ours"), self._keys("theirs")
        train, held_out = self._open("train"), self._open("held_out")
        for found in self.rows.trees(self._input("train"), Split(), lambda: self.first_rows.wanted, keyed=True):
            ours.add(*_key_of(found))
            if found.record is not None:
                self.first_rows.add_training(found.record)
            _write(self.job, found, (train, None), self.ledger, found.characters)
        for found in self.rows.trees(self._input("eval"), Split(), lambda: self.first_rows.wanted_held_out, keyed=True):
            theirs.add(*_key_of(found))
            if found.record is not None:
                self.first_rows.add_held_out(found.record)
            _write(self.job, found, (held_out, None), self.ledger, (0, found.characters[0]))
        ours.close()
        theirs.close()
        if shared := ours.shared(theirs):
            self.notes.append(
                f"warning: {shared} held-out questions or documents also stand in data.train; held-out numbers flatter"
            )

    def _divided(self, split: Split) -> None:
        """What is held out is known."""
        train, held_out = self._open("train"), self._open("held_out") if split else None
        for found in self.rows.trees(self._input("train"), split, lambda: self.first_rows.wanted):
            if found.record is not None:
                self.first_rows.add_training(found.record)
                if found.held_out:
                    self.first_rows.add_held_out(found.record)
            _write(self.job, found, (train, held_out), self.ledger, found.characters)

    def _undivided(self) -> None:
        """What is held out is known once all rows were read."""
        self._all_rows = all_rows = Undivided(self.temp)
        self.stack.callback(all_rows.abandon)
        for found in self.rows.trees(self._input("train"), Split(), lambda: self.first_rows.wanted, keyed=True):
            if found.record is not None:
                self.first_rows.add_training(found.record)
            _settle(self.job, found, self.ledger)
            all_rows.add(found)
        all_rows.close()

    def _split_documents(self) -> Split:
        """What is held out of documents, which are read once for that: a long one may be held out in passages."""
        keys, seed = self._keys("documents"), self.job.seed
        for found in self.rows.keys(self._input("train", Ledger())):
            keys.add(found.key, found.size)
        keys.close()
        split = split_asked(keys.asked(seed), self.job.data.eval_fraction, seed, documents=True)
        self.notes += _said(split)
        return split

    def _open(self, name: str) -> StoreWriter:
        """A new store whose files are closed when the stack is, finished or not."""
        self.writers[name] = writer = StoreWriter(self.temp / name)
        self.stack.callback(writer.abandon)
        return writer

    def _keys(self, name: str) -> KeyTable:
        """A new table of what rows ask; closed likewise."""
        table = KeyTable(self.temp, name)
        self.stack.callback(table.abandon)
        return table

    def _input(self, name: Literal["train", "eval", "replay"], ledger: Ledger | None = None) -> Input:
        """Files of the data section. `data.columns` was written for data.train and need not fit the others."""
        paths, ledger = getattr(self.job.data, name), ledger or self.ledger
        return Input.of(self.job, paths, ledger, name, strict=name == "train", replay=name == "replay")


def _key_of(found: RowTrees) -> RowKey:
    assert found.key is not None
    return found.key


def _said(split: Split) -> list[str]:
    """What there is to say about a split."""
    if not split:
        return ["one distinct question or short document: nothing can be held out, so there are no held-out numbers"]
    if not split.cut:
        return []
    documents = "a long document" if len(split.cut) == 1 else f"{len(split.cut)} long documents"
    return [f"passages of {documents} are held out, as whole ones would be too much of the text"]


def _write(
    job: Renderer,
    found: RowTrees,
    writers: tuple[StoreWriter | None, StoreWriter | None],
    ledger: Ledger,
    characters: tuple[int, int] | None,
) -> None:
    """Store a row's trees, for training and held out, settle it, and count its text unless it is dropped or replay."""
    _settle(job, found, ledger)
    file = found.source.file
    for packed, writer in zip(found.packed, writers):
        if packed is not None:
            assert writer is not None
            writer.append(packed, file)
    if characters is not None and found.row.outcome != "dropped":
        for number, held_out in zip(characters, (False, True)):
            if number:
                ledger.count_text(file, number, held_out)


def _settle(job: Renderer, found: RowTrees, ledger: Ledger) -> None:
    """Raises RenderError for a row that cannot be rendered, where such a row stops."""
    if found.error and job.data.on_bad_row == "stop":
        raise RenderError(
            f"{found.source}: {found.error}; fix the row, or set data.on_bad_row=drop to count and skip such rows"
        )
    found.row.settle(ledger, found.source.file)
