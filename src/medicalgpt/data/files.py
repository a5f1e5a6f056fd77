"""Which files are read: folders expanded, types by name, gzip opened, content fingerprinted."""

import gzip
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from medicalgpt.errors import DataError

TYPES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt", ".md")
ALLOWED = f"allowed: {', '.join(TYPES)}, each also with .gz"

# A data folder often holds its own description; training on a license text is never what was meant.
_ABOUT_FILES = {"readme", "license", "licence", "notice", "changelog", "contributing", "citation", "disclaimer"}


def file_type(path: Path) -> str:
    """The type of `path` by its name, `.gz` taken off: one of TYPES, or "" for any other name."""
    name = path.name.lower().removesuffix(".gz")
    return next((t for t in TYPES if name.endswith(t) and name != t), "")


def is_gzip(path: Path) -> bool:
    """Whether the name says that the file is gzip-compressed."""
    return path.name.lower().endswith(".gz")


def open_bytes(path: Path) -> BinaryIO:
    """Open for reading, decompressed when the name ends in `.gz`."""
    return cast(BinaryIO, gzip.open(path, "rb")) if is_gzip(path) else path.open("rb")


def expand(paths: Iterable[str | Path]) -> list[Path]:
    """The data files behind files and folders: in the order given, each folder recursive and sorted, no file twice.

    In folders, hidden names, other file types and README, LICENSE and the like are skipped; a file given by its own
    name is always taken.

    Raises:
        DataError: a path does not exist, a file has another type, or a folder holds no usable file.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        for file in _files(path):
            found.setdefault(file.resolve(), file)
    if not found:
        raise DataError(f"no data files were given; {ALLOWED}, or folders of them")
    return list(found.values())


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(_walk(path))
        if not files:
            raise DataError(f"{path}: the folder holds no data file; {ALLOWED}")
        return files
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; check the path (it is taken relative to {Path.cwd()})")
    if not file_type(path):
        raise DataError(f"{path}: this file type is not read; {ALLOWED}; rename or convert the file")
    return [path]


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith(".")]
        for name in names:
            file = Path(root, name)
            about = name.split(".")[0].casefold() in _ABOUT_FILES
            if not name.startswith(".") and not about and file_type(file) and file.is_file():
                yield file


def fingerprint(paths: Iterable[str | Path]) -> str:
    """SHA-256 (hex) over name, size and content of every file behind `paths`, in reading order.

    Moving a file to another folder keeps the fingerprint; renaming, reordering or changing a byte does not.

    Raises:
        DataError: as `expand`, or a file that cannot be read.
    """
    total = hashlib.sha256()
    for path in expand(paths):
        content = hashlib.sha256()
        size = 0
        try:
            with path.open("rb") as raw:
                while block := raw.read(1 << 20):
                    content.update(block)
                    size += len(block)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions") from None
        total.update(f"{path.name}\0{size}\0{content.hexdigest()}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()
