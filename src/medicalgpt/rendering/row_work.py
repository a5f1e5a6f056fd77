"""What is done with each row by itself, in this process or in another: its key for the split, or its trees."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeVar

from medicalgpt.data.ledger import hinted
from medicalgpt.data.read_row import ReadRow, read_row, record_texts, with_value
from medicalgpt.data.records import Kind, Record, Source
from medicalgpt.data.rows import DETECTED, RawRow, Reading, Row, open_raw_rows, parsed
from medicalgpt.data.split import Split, group_key
from medicalgpt.errors import DataError, RenderError
from medicalgpt.rendering.ahead import Encoded
from medicalgpt.rendering.packed import Packed, pack
from medicalgpt.rendering.renderer import Renderer
from medicalgpt.rendering.rows import Rendered, VerificationError

Records = Literal["none", "held out", "all"]
"""Which of some rows are wanted."""

_ROWS: Final = 200  # of a chunk
_CHARACTERS: Final = 1 << 19


class Chunk(NamedTuple):
    """Some rows of the file numbered `file`, in order. `records`: which are wanted back beside their trees."""

    file: int
    path: str
    rows: list[RawRow]
    records: Records = "none"


class RowKey(NamedTuple):
    """What the split asks of a row: the key of what it asks, and its length in characters."""

    key: str
    size: int


class RowTrees(NamedTuple):
    """A rendered row. `row` is without its trees: these are packed, for training and held out; `characters` likewise.

    `error` says why it cannot be rendered, `refused` what was expected and decoded where that is the reason. `held_out`: its
    first part is. `record` is given where the chunk asked for it, `key` where the work did.
    """

    source: Source
    row: Rendered
    packed: tuple[Packed | None, Packed | None]
    characters: tuple[int, int]
    held_out: bool = False
    error: str = ""
    refused: tuple[str, str] | None = None
    record: Record | None = None
    key: RowKey | None = None


@dataclass(frozen=True)
class RowWork:
    """The settings of the work. Rows of another `kind` or other `columns` than the renderer's own are replay.

    `keyed`: trees come with the row's key, for a split that is not known yet.
    """

    renderer: Renderer
    kind: Kind
    columns: dict[str, str]
    split: Split = field(default_factory=Split)
    keyed: bool = False

    def keys(self, chunk: Chunk) -> list[ReadRow[RowKey]]:
        """Keys of the rows that can be read."""
        return [read_row(parsed(row), chunk.path, self.columns, self.kind, _key) for row in chunk.rows]

    def trees(self, chunk: Chunk) -> list[ReadRow[RowTrees]]:
        """Trees of the rows that can be read. All are read before the first is rendered (`rendering.ahead`)."""

        def render(record: Record, encoded: Encoded | None) -> RowTrees:
            found = self._render(record, encoded)
            wanted = chunk.records == "all" or (chunk.records == "held out" and found.held_out)
            return found._replace(record=record) if wanted else found

        read = [read_row(parsed(row), chunk.path, self.columns, self.kind, _itself) for row in chunk.rows]
        ahead = self.renderer.encoded([found.value for found in read])
        return [
            with_value(found, None if found.value is None else render(found.value, encoded))
            for found, encoded in zip(read, ahead)
        ]

    def _render(self, record: Record, encoded: Encoded | None) -> RowTrees:
        parts = self.split.parts(record)  # of a dialogue, the one kind that is encoded ahead, there is one
        held_out, key = parts[0][1], _key(record) if self.keyed else None
        try:
            rendered = [self.renderer.render(part, encoded) for part, _ in parts]
            packed = (_packed(rendered, parts, False), _packed(rendered, parts, True))
        except RenderError as error:
            row = Rendered((), "dropped", f"cannot be rendered: {type(error).__name__}")
            refused = (error.expected, error.decoded) if isinstance(error, VerificationError) else None
            return RowTrees(record.source, row, (None, None), (0, 0), held_out, str(error), refused, key=key)
        one = len(rendered) == 1 or rendered[0].not_learned
        row = rendered[0].ending if one else Rendered((), "split")
        sizes = [(sum(map(len, record_texts(part))), held) for part, held in parts]
        characters = (sum(n for n, held in sizes if not held), sum(n for n, held in sizes if held))
        return RowTrees(record.source, row, packed, characters, held_out, key=key)


def _itself(record: Record) -> Record:
    return record


def _key(record: Record) -> RowKey:
    return RowKey(group_key(record), sum(map(len, record_texts(record))))


def _packed(rendered: Sequence[Rendered], parts: Sequence[tuple[Record, bool]], held_out: bool) -> Packed | None:
    trees = [tree for found, (_, held) in zip(rendered, parts) if held == held_out for tree in found.trees]
    return pack(trees) if trees else None


def chunks(
    paths: Sequence[Path],
    columns: dict[str, str],
    reading: Reading = DETECTED,
    hint: Callable[[Path], str] = lambda path: "",
) -> Iterator[Chunk]:
    """All rows of files. A file without rows gives an empty chunk.

    Raises:
        DataError: a file that cannot be read, after the rows before the place.
    """
    for number, path in enumerate(paths):
        rows: list[RawRow] = []
        size, any_rows = 0, False
        try:
            for row in hinted(path, open_raw_rows(path, columns, reading), hint):
                rows.append(row)
                size += _size(row)
                if len(rows) == _ROWS or size > _CHARACTERS:
                    yield Chunk(number, str(path), rows)
                    rows, size, any_rows = [], 0, True
        except DataError:
            if rows:
                yield Chunk(number, str(path), rows)
            raise
        if rows or not any_rows:
            yield Chunk(number, str(path), rows)


def _size(row: RawRow) -> int:
    if isinstance(row, Row):
        return sum(len(value) for value in (row.fields or {}).values() if isinstance(value, str | list))
    return len(row[1])


T = TypeVar("T")
Act = Callable[[RowWork, Chunk], list[ReadRow[T]]]
"""`RowWork.keys` or `RowWork.trees`."""
