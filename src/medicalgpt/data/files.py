"""Which files are read: folders and archives expanded, types by name; what is passed over is counted."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from medicalgpt.data.passed_over import ALLOWED, file_type, is_hidden, reasons_line, why_not
from medicalgpt.data.storage import ARCHIVE, is_archive, is_link, is_safe_name, members, read_errors, split_member
from medicalgpt.errors import DataError

__all__ = ["ALLOWED", "FileEntry", "by_folder", "entries_of", "file_type", "readable_type", "skipped_lines"]

MOST_REASONS: Final = 12


def readable_type(name: str) -> str:
    """The type of a file or archive as a folder's are chosen, by its name alone: "" where it is passed over."""
    file = Path(name)
    return ARCHIVE if is_archive(file) else "" if why_not(file, (file.name,))[0] else file_type(file)


def by_folder(skipped: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    """Folder → reason → files, the most first."""
    found: dict[str, dict[str, int]] = {}
    for (folder, reason), files in sorted(skipped.items(), key=lambda entry: (entry[0][0], -entry[1])):
        found.setdefault(folder, {})[reason] = files
    return found


def skipped_lines(skipped: Mapping[str, Mapping[str, int]]) -> list[str]:
    """One line a folder, of what was skipped (as `by_folder`, or the ledger's entry)."""
    return [f"{place}: {sum(reasons.values())} not read: {reasons_line(reasons)}" for place, reasons in skipped.items()]


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of a folder or archive; `reason` says why it is not read, "" that it is; `nameable`: by its own name it is."""

    path: Path
    reason: str = ""
    nameable: bool = False


def entries_of(path: Path) -> list[FileEntry]:
    """The files that one path names, sorted, those that are passed over with them.

    Raises:
        DataError: it does not exist or is no regular file, has another type, or is a folder without a usable file.
    """
    if path.is_dir():
        return _usable(_walk(path), f"{path}: the folder holds no data file")
    if split_member(path) is None:
        if not path.exists():
            raise DataError(f"{path}: no such file or folder; check the path (it is taken relative to {Path.cwd()})")
        if not path.is_file():
            raise DataError(f"{path}: this is no regular file; write what comes out of it into a file, which is read")
        if is_archive(path):
            return _usable(_inside(path), f"{path}: the archive holds no data file")
    if not file_type(path):
        raise DataError(f"{path}: this file type is not read; {ALLOWED}; rename or convert the file")
    return [FileEntry(path)]


def _usable(entries: Iterable[FileEntry], problem: str) -> list[FileEntry]:
    found = sorted(entries, key=lambda entry: entry.path)
    if all(entry.reason for entry in found):
        reasons = Counter(entry.reason for entry in found)
        what = f" ({reasons_line(dict(reasons.most_common(MOST_REASONS)))})" if reasons else ""
        raise DataError(f"{problem}{what}; {ALLOWED}")
    return found


def _walk(folder: Path) -> Iterator[FileEntry]:
    closed: list[Path] = []
    for root, folders, names in os.walk(folder, onerror=lambda error: closed.append(Path(error.filename))):
        yield from (FileEntry(Path(root, name), "hidden folder") for name in folders if is_hidden(name))
        folders[:] = [name for name in folders if not is_hidden(name)]
        for name in folders:
            if os.path.islink(os.path.join(root, name)):
                yield FileEntry(Path(root, name), "link to a folder (name the folder itself)")
        for name in names:
            file = Path(root, name)
            if not file.is_file():
                yield FileEntry(file, "broken link" if file.is_symlink() and not file.exists() else "pipe or device")
            elif is_archive(file) and not is_hidden(name):
                yield from _inside(file)
            else:
                yield FileEntry(file, *why_not(file, names))
    yield from (FileEntry(path, "folder that may not be read") for path in closed)


def _inside(archive: Path) -> Iterator[FileEntry]:
    """The files of an archive. Raises DataError as `members`."""
    with read_errors(archive):
        found = members(archive)
    beside, hidden = defaultdict[PurePosixPath, list[str]](list), set[PurePosixPath]()
    for path in map(PurePosixPath, found):
        beside[path.parent].append(path.name)
    for name, entry in found.items():
        path = PurePosixPath(name)
        if not is_safe_name(name):
            yield FileEntry(archive, "name that leads out of its archive")
        elif inner := [folder for folder in reversed(path.parents) if is_hidden(folder.name)]:
            if inner[0] not in hidden:
                yield FileEntry(archive / inner[0], "hidden folder")
            hidden.add(inner[0])
        elif is_link(entry):
            yield FileEntry(archive / name, "link in an archive")
        else:
            yield FileEntry(archive / name, *why_not(archive / name, beside[path.parent]))
