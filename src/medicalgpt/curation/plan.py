"""What a curation works on, cut into shards: the same for every number of processes, so that no result depends on it."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from medicalgpt.config.curation import CurateConfig, SourceConfig
from medicalgpt.data.fingerprint import Content
from medicalgpt.data.formats import check_columns
from medicalgpt.data.passed_over import DOCUMENTS
from medicalgpt.data.rows import Reading, open_raw_rows
from medicalgpt.runs.hashes import hash_json

_SMALL: Final = 4 << 20
"""Bytes of files that are read whole, several in one shard."""
_MOST_FILES: Final = 512  # in one shard
NAME: Final = "plan.json"


@dataclass(frozen=True)
class InputFile:
    """A file of a source; `limit`: only so many of its rows are read; `inside`: a folder or archive holds it, nobody named it."""

    source: str
    path: str
    limit: int | None = None
    inside: bool = False


@dataclass(frozen=True)
class Piece:
    """Rows `start` to `stop` (not included; None: the end) of the file with a number."""

    file: int
    start: int
    stop: int | None


@dataclass(frozen=True)
class Plan:
    """All that a process needs to know; `digest` tells two plans apart."""

    config: CurateConfig
    files: tuple[InputFile, ...]
    shards: tuple[tuple[Piece, ...], ...]
    review: str | None = None

    @cached_property
    def digest(self) -> str:
        """12 hex digits of everything that is in it."""
        return hash_json(self._as_json())[:12]

    def source(self, file: int) -> SourceConfig:
        """The config of a file's source."""
        return self.config.sources[self.files[file].source]

    def _as_json(self) -> dict[str, object]:
        return {
            "config": self.config.model_dump(mode="json"),
            "files": [asdict(file) for file in self.files],
            "shards": [[asdict(piece) for piece in shard] for shard in self.shards],
            "review": self.review,
        }

    def write(self, folder: Path) -> None:
        """Keep it for the processes."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / NAME).write_text(json.dumps(self._as_json(), ensure_ascii=False), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Plan":
        """What `write` kept."""
        found = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return cls(
            CurateConfig.model_validate(found["config"]),
            tuple(InputFile(**one) for one in found["files"]),
            tuple(tuple(Piece(**piece) for piece in shard) for shard in found["shards"]),
            found["review"],
        )


@dataclass
class Inputs:
    """The files behind the sources: their content by source as a hash, and what is not read."""

    files: list[InputFile] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    skipped: dict[tuple[str, str], int] = field(default_factory=dict)

    @classmethod
    def of(cls, sources: Mapping[str, SourceConfig]) -> "Inputs":
        """Look at every source. Raises DataError as `find`."""
        found = cls()
        for name, source in sources.items():
            check_columns(source.columns)
            content = Content.of(source.paths, Reading(source.encoding, source.txt), source.columns)
            found.hashes[name] = content.hash
            found.skipped |= content.found.skipped
            limits = content.found.limits
            found.files += [
                InputFile(name, str(file), limits.get(file), file in content.found.inside)
                for file in content.found.files
            ]
        return found


def shards_of(config: CurateConfig, files: list[InputFile]) -> Iterator[tuple[Piece, ...]]:
    """Shards in the order of the files: a large file is cut, small ones are put together."""
    held: list[Piece] = []
    size = 0
    for number, file in enumerate(files):
        bytes_ = _bytes(file)
        if bytes_ is not None and bytes_ <= _SMALL:
            if held and (size + bytes_ > _SMALL or len(held) == _MOST_FILES):
                yield tuple(held)
                held, size = [], 0
            held.append(Piece(number, 0, file.limit))
            size += bytes_
            continue
        if held:
            yield tuple(held)
            held, size = [], 0
        rows, step = _rows(config, file), config.scale.shard_rows
        for start in range(0, max(1, rows), step):
            yield (Piece(number, start, min(start + step, rows)),)
    if held:
        yield tuple(held)


def _bytes(file: InputFile) -> int | None:
    """Size of a plain file; None of one that is within an archive, or expands."""
    try:
        return os.stat(file.path).st_size if Path(file.path).suffix.lower() in _PLAIN else None
    except OSError:
        return None


_PLAIN: Final = (".jsonl", ".json", ".csv", ".tsv", ".txt", ".md", *DOCUMENTS)


def _rows(config: CurateConfig, file: InputFile) -> int:
    if file.limit is not None:
        return file.limit
    source = config.sources[file.source]
    return sum(1 for _ in open_raw_rows(Path(file.path), source.columns, Reading(source.encoding, source.txt)))
