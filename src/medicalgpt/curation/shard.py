"""The first pass over a shard: read, judge, take personal data out, and note by what each row is known.

What it writes holds rows as they are after that, and numbers: nothing that was taken out.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, get_args

import numpy as np

from medicalgpt.config.curation import ContaminationConfig
from medicalgpt.curation.duplicates import band_keys
from medicalgpt.curation.matching import comparable, digest
from medicalgpt.curation.overlap import Hit, ItemIndex
from medicalgpt.curation.personal import Cleaned, Cleaner, refuse
from medicalgpt.curation.plan import Piece, Plan
from medicalgpt.curation.quality import broken
from medicalgpt.curation.rows import KINDS, JsonRow, asked_in, row_of, texts_in
from medicalgpt.curation.shard_files import Told, Written, write_shard
from medicalgpt.data.formats import BadRow, fold_name
from medicalgpt.data.formats.fields import NotLearned, named
from medicalgpt.data.guess import hint
from medicalgpt.data.ledger import BadRowPolicy, Ledger, hinted, place, rejected
from medicalgpt.data.read_row import row_record
from medicalgpt.data.records import Kind, Record
from medicalgpt.data.rows import Reading, open_rows

_BATCH: Final = 256
"""Rows whose personal data is looked for together."""


class ShardReader:
    """What a process keeps between shards: detectors, the index of tests' items, a tokenizer where tokens count."""

    def __init__(self, plan: Plan) -> None:
        config = plan.config
        self.plan = plan
        self._cleaner = Cleaner(config.personal_data) if config.personal_data.enabled else None
        self._index = _index(config.contamination)
        self._count = _tokens(config.mix.tokenizer) if config.mix.unit == "tokens" else len

    def read(self, number: int, folder: Path) -> None:
        """Work through a shard; `folder` gets its files.

        Raises:
            DataError: a file cannot be read, or a bad row (`on_bad_row: stop`). RunError: personal data could not be taken out
                (`on_leak: stop`).
        """
        told, written = Told(Ledger()), Written()
        rows = self._records(self.plan.shards[number], told)
        while batch := list(islice(rows, _BATCH)):
            self._take(batch, told, written)
        bands = self._bands(written)
        write_shard(folder, written, bands, told)

    def _records(self, pieces: Sequence[Piece], told: Told) -> Iterator[tuple[int, int, Record]]:
        """File, row and record of every row that can be used; the others are settled."""
        config = self.plan.config
        inside = frozenset(Path(file.path) for file in self.plan.files if file.inside)
        for piece in pieces:
            file, source = self.plan.files[piece.file], self.plan.source(piece.file)
            path, reading = Path(file.path), Reading(source.encoding, source.txt)
            suggest = partial(hint, source.columns, get_args(Kind), reading)
            # The share of bad rows is that of the whole, and checked when all shards are read.
            policy = BadRowPolicy(config.on_bad_row, 1.0, told.ledger, suggest, inside)
            rows = hinted(path, open_rows(path, named(source.columns), reading), suggest)
            empty = piece.start == 0
            wanted = {fold_name(column): (file.source, column) for column in named(source.columns).values()}
            for row in islice(rows, piece.start, piece.stop):
                empty = False
                told.present |= {wanted[name] for name in map(fold_name, row.fields or ()) if name in wanted}
                try:
                    found = row_record(row, str(path), source.columns)
                except BadRow as bad:
                    said = bad.allowed or "rows of text, dialogues, preferences or feedback"
                    policy.see(path, rejected(path, row, bad, partial(str, said)))
                    told.bad += not isinstance(bad, NotLearned)
                    continue
                policy.see(path, None)
                told.ledger.leave(str(path), found.left)
                yield piece.file, row.number, found.record
            if empty:
                policy.see_none(path)

    def _take(self, batch: Sequence[tuple[int, int, Record]], told: Told, written: Written) -> None:
        """Rows of a batch into `written`, or settled as dropped."""
        good: list[tuple[int, int, Record]] = []
        for file, number, record in batch:
            rule = broken(record, self.plan.config.quality)
            if rule is None:
                good.append((file, number, record))
            else:
                told.quality[self.plan.files[file].source, rule] += 1
                told.drop(self.plan.files[file].path, f"quality: {rule}")
        raw = [row_of(record) for _, _, record in good]
        cleaned = self._cleaner.clean(raw) if self._cleaner is not None else [Cleaned(row) for row in raw]
        self._review(good, cleaned)
        for (file, number, record), before, after in zip(good, raw, cleaned, strict=True):
            source = self.plan.files[file].source
            told.personal.update({(source, kind): count for kind, count in after.found.items()})
            told.personal_rows[source] += bool(after.found)
            if after.row is None:
                if self.plan.config.personal_data.on_leak == "stop":
                    raise refuse(place(self.plan.files[file].path, number), after)
                told.drop(self.plan.files[file].path, after.reason)
                continue
            self._keep(file, number, KINDS.index(_kind(record)), before, after.row, written)

    def _keep(self, file: int, number: int, kind: int, before: JsonRow, row: JsonRow, written: Written) -> None:
        plain = [comparable(text) for text in texts_in(row)]
        asked = digest([comparable(text) for text in asked_in(row)])[0]
        hits: list[Hit] = []
        if self._index is not None:  # looked for in the words as they came: a mask may hide an item
            hits = self._index.find("\n".join(texts_in(before)))
        texts = list(texts_in(row))
        size = sum(map(self._count, texts))
        written.add(row, (file, number, kind), digest([KINDS[kind], *plain]), asked, size, "".join(plain), hits)

    def _bands(self, written: Written) -> np.ndarray:
        config = self.plan.config.duplicates
        if not config.near:
            return np.empty((len(written.texts), 0), np.uint64)
        parts = [band_keys(written.texts[at : at + _BATCH], config) for at in range(0, len(written.texts), _BATCH)]
        empty = np.empty((0, config.bands), np.uint64)
        return np.concatenate(parts) if parts else empty

    def _review(self, rows: Sequence[tuple[int, int, Record]], cleaned: Sequence[Cleaned]) -> None:
        """What was found, in words: for the one file whose user asked for it."""
        if self.plan.review is None:
            return
        lines = [
            json.dumps({"file": self.plan.files[file].path, "row": number, "found": one.values}, ensure_ascii=False)
            for (file, number, _), one in zip(rows, cleaned)
            if one.values
        ]
        if lines:
            handle = os.open(self.plan.review, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(handle, "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))
            finally:
                os.close(handle)


def _index(config: ContaminationConfig) -> ItemIndex | None:
    if not config.tests and not config.files:
        return None
    from medicalgpt.curation.sought import sought_items  # lazy: heavy

    return ItemIndex.of(sought_items(config)[0], config.ngram, config.threshold)


def _tokens(model: str) -> Callable[[str], int]:
    """Counts the tokens of a text."""
    from medicalgpt.models.load import load_tokenizer  # lazy: heavy
    from medicalgpt.models.locate import locate  # lazy: heavy

    tokenizer = load_tokenizer(locate(model).folder)
    return lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])


def _kind(record: Record) -> Kind:
    name = type(record).__name__.lower()
    return next(kind for kind in KINDS if kind == name)
