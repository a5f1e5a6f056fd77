"""A run in one file for others: numbers, figures and origin; weights and private text only where they are asked for."""

import hashlib
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal, Protocol

from medicalgpt.browse.find import info_of
from medicalgpt.browse.made import MADE
from medicalgpt.disk.failures import explain
from medicalgpt.disk.private import private_files
from medicalgpt.errors import RunError
from medicalgpt.evaluation.names import ITEMS, LEAKAGE, RESULTS
from medicalgpt.runs.manifest import homeless
from medicalgpt.runs.ownership import CONFIG

Part = Literal["weights", "text"]
PARTS: Final[tuple[Part, ...]] = ("weights", "text")
CONTENTS: Final = "contents.json"
_ENDINGS: Final = (".zip", ".tar.zst")
WHY: Final = {
    "weights": "weights, which may repeat what they were trained on; --with weights adds them",
    "text": "text of rows and answers; --with text adds it",
    "checkpoints": "only a run that goes on needs them",
    "links": "links are not followed",
    "other": "no run makes it",
}
# Of an evaluation: its numbers and picks, which hold no word of the items.
_EVALUATION: Final = (RESULTS, ITEMS, LEAKAGE)


@dataclass(frozen=True)
class Packed:
    """An archive that was written, the files in it, and what was left out: reason → files."""

    path: Path
    files: tuple[str, ...]
    left_out: dict[str, tuple[str, ...]]


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class _Hashing:
    """A file that is read once, and what its bytes were: `digest` is of what was read so far."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        block = self._file.read(size)
        self.digest.update(block)
        return block


class _Archive(Protocol):
    def add(self, name: str, data: _Readable, size: int) -> None: ...


def pack(folder: Path, output: Path, parts: Collection[Part] = ()) -> Packed:
    """Write a run into a new .zip or .tar.zst, with a list of its files and of what was left out (contents.json).

    Paths below the home folder are written as `~/…` in the configuration. The archive has mode 0600.

    Raises:
        RunError: the folder is no run, the file is there already, of another type, or cannot be written.
    """
    found = info_of(folder)
    if found is None or found.kind not in ("run", "corpus"):
        raise RunError(f"{folder} is no run; give the output_dir of a stage (medicalgpt runs list shows them)")
    if found.state == "running":
        raise RunError(f"{folder} is running, so its files change; wait until it ends")
    if not output.name.endswith(_ENDINGS):
        raise RunError(f"{output} is of another type; allowed: {', '.join(_ENDINGS)}")
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise RunError(f"'{unknown[0]}' cannot be added; allowed: {', '.join(PARTS)}")
    taken, left_out = _sorted_out(folder, parts)
    _write(folder, output, taken, left_out)
    return Packed(output, tuple(taken), {why: tuple(names) for why, names in left_out.items()})


def _sorted_out(folder: Path, parts: Collection[Part]) -> tuple[list[str], dict[str, list[str]]]:
    """Names of the files to take, and of those to leave by reason."""
    taken: list[str] = []
    left_out: dict[str, list[str]] = {}
    for name, group in _walk(folder, folder):
        if group == "" or group in parts:
            taken.append(name)
        else:
            left_out.setdefault(WHY[group], []).append(name)
    return taken, left_out


def _walk(root: Path, folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.iterdir()):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            yield name, "links"
        elif path.is_dir():
            yield from _walk(root, path)
        elif (group := _group(name)) != "ignored":
            yield name, group


def _group(name: str) -> str:
    first, inside, _ = name.partition("/")
    if first.startswith("nonfinite-step-"):
        return ""
    group = MADE.get(first, "other")
    if group == "evaluation":
        return "" if name.rpartition("/")[2] in _EVALUATION else "text"
    return "other" if inside and group == "ignored" else group  # a folder of that name is nobody's lock


def _write(folder: Path, output: Path, taken: list[str], left_out: dict[str, list[str]]) -> None:
    top = folder.resolve().name
    hashes: dict[str, str] = {}
    try:
        with private_files(), _opened(output) as archive:
            for name in taken:
                hashes[name] = _add(archive, f"{top}/{name}", folder / name)
            said = {"files": hashes, "left_out": left_out}
            text = json.dumps(said, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
            archive.add(f"{top}/{CONTENTS}", io.BytesIO(text), len(text))
    except FileExistsError:
        raise RunError(f"{output} is there already; name a new file") from None
    except (OSError, zipfile.LargeZipFile) as error:
        with suppress(OSError):
            output.unlink(missing_ok=True)
        raise RunError(f"{output} could not be written: {explain(error, output.parent)}") from error


def _add(archive: _Archive, name: str, path: Path) -> str:
    """Add a file; returns the SHA-256 of what was written."""
    if path.name == CONFIG:
        data = homeless(path.read_text(encoding="utf-8", errors="replace")).encode()
        archive.add(name, io.BytesIO(data), len(data))
        return hashlib.sha256(data).hexdigest()
    with path.open("rb") as file:
        hashing = _Hashing(file)
        archive.add(name, hashing, os.fstat(file.fileno()).st_size)
    return hashing.digest.hexdigest()


@contextmanager
def _opened(output: Path) -> Iterator[_Archive]:
    with output.open("xb") as file:
        if output.name.endswith(".zip"):
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
                yield _Zip(packed)
            return
        import pyarrow

        with pyarrow.CompressedOutputStream(file, "zstd") as stream, tarfile.open(fileobj=stream, mode="w|") as tar:
            yield _Tar(tar)


@dataclass
class _Zip:
    file: zipfile.ZipFile

    def add(self, name: str, data: _Readable, size: int) -> None:
        entry = zipfile.ZipInfo(name)  # of 1980: equal runs are equal archives
        entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
        with self.file.open(entry, "w", force_zip64=size > 1 << 31) as target:
            while block := data.read(1 << 20):
                target.write(block)


@dataclass
class _Tar:
    file: tarfile.TarFile

    def add(self, name: str, data: _Readable, size: int) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = size, 0o600
        self.file.addfile(entry, data)
