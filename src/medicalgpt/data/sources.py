"""From what was named to the files that are read: paths and hubs' addresses, and how many rows of each."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Final

from medicalgpt.config.data_source import DataSource, share_of
from medicalgpt.config.sections import Encodings, TxtRows
from medicalgpt.data.files import ALLOWED, MOST_REASONS, FileEntry, entries_of, readable_type
from medicalgpt.data.rows import DETECTED, Reading, open_raw_rows
from medicalgpt.data.storage import read_errors, stored
from medicalgpt.errors import DataError
from medicalgpt.hub.address import parse
from medicalgpt.hub.dataset import RemoteFiles
from medicalgpt.hub.repository import commit_of

Given = str | Path | DataSource
_NO_COLUMNS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Part:
    """What was named once: its files, and what is said of it. `cut`: there are more rows than `rows`, and they are left out."""

    name: str
    files: tuple[Path, ...]
    rows: int | None = None
    cut: bool = False
    share: float | None = None
    commit: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is files of this machine, read from the first row to the last."""
        return self.rows is None and self.share is None and self.commit is None

    def as_dict(self) -> dict[str, object]:
        """The form that the ledger has."""
        said = {"commit": self.commit, "rows": self.rows, "cut": self.cut or None, "share": self.share}
        return {"path": self.name, "files": len(self.files), **{k: v for k, v in said.items() if v is not None}}


@dataclass
class Found:
    """What lies behind paths: the files that are read, how many are not, by the path that was given and the reason; for files
    of which the first rows alone are read, how many; and the `parts` that were named.

    `inside`: those files which nobody named, but a folder or an archive that holds them.
    """

    files: list[Path] = field(default_factory=list)
    skipped: Counter[tuple[str, str]] = field(default_factory=Counter)
    limits: dict[Path, int] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    inside: frozenset[Path] = frozenset()

    def limited(self, reading: Reading) -> Reading:
        """How these files are read."""
        return replace(reading, limits=self.limits) if self.limits else reading

    @property
    def named(self) -> list[dict[str, object]]:
        """For the ledger: what was named, where there is more to say of it than its path."""
        return [part.as_dict() for part in self.parts if not part.is_plain]


def find(given: Iterable[Given], reading: Reading = DETECTED, columns: Mapping[str, str] = _NO_COLUMNS) -> Found:
    """The data files behind files, folders, archives and hubs' addresses: in the order given, each folder recursive and
    sorted, no file twice. What an address names is fetched.

    In folders and archives, other file types, links to folders, hidden names, and README, LICENSE, dataset_info.json and
    the like are skipped and counted; a file given by its own name is always taken.

    Args:
        reading, columns: as rows are counted, where an entry says how many it gives.

    Raises:
        DataError: a path does not exist or is no regular file, a file has another type, or a folder holds no usable file; a
            file is named twice where one of the entries says how much of it is taken; as `RemoteFiles` for addresses.
    """
    found, owner = Found(), dict[Path, int]()
    left: list[tuple[str, FileEntry]] = []
    parts: list[Part] = []
    named = set[Path]()
    for number, one in enumerate(given):
        part, skipped, limits = _part(one, reading, columns)
        parts.append(part)
        left += [(part.name, entry) for entry in skipped]
        own = dict[Path, Path]()
        for file in part.files:
            place = file.resolve()
            if (first := owner.setdefault(place, number)) != number:
                if any(p.rows is not None or p.share is not None for p in (parts[first], part)):
                    raise DataError(
                        f"{file}: {parts[first].name} and {part.name} both name it, and one of them says how much of it is "
                        "taken; name it once"
                    )
            else:
                own.setdefault(place, file)
        kept = list(own.values())
        named.update(file.resolve() for file in part.files if file == Path(part.name))
        found.files += kept
        found.limits.update((file, limits[file]) for file in kept if file in limits)
        found.parts.append(replace(part, files=tuple(kept)))
    if not found.files:
        raise DataError(f"no data files were given; {ALLOWED}, or folders of them")
    found.skipped, found.inside = (
        _counted(left, owner),
        frozenset(file for file in found.files if file.resolve() not in named),
    )
    return found


def check_paths(keys: Mapping[str, Sequence[Given]]) -> None:
    """See that there is data behind the paths of every key, before anything that takes long.

    Args:
        keys: the name of a key, for the message, and its paths; none are fine.

    Raises:
        DataError: as `find`, with the key.
    """
    for key, paths in keys.items():
        problem = ""
        try:
            if paths:
                find(paths)
        except DataError as error:
            problem = str(error)
        if problem:
            raise DataError(f"{key}: {problem}")


def expand(given: Iterable[Given]) -> list[Path]:
    """The files that `find` finds. Raises DataError as it does."""
    return find(given).files


def one_file(given: str | Path) -> Path:
    """The file itself where a path is given, and the one that an address names, fetched.

    Raises:
        DataError: as `find` for an address; it names several files, or a number of rows.
    """
    address = parse(given)
    if address is None:
        return Path(given)
    if address.rows is not None:
        raise DataError(f"{address}: a file is read to its end here; leave out #{address.rows}")
    files = find([str(address)]).files
    if len(files) != 1:
        raise DataError(
            f"{address}: {len(files)} files are behind it, and one is read here; name it: {address.place}/a/file"
        )
    return files[0]


def pinned(given: str | DataSource, before: Iterable[str | DataSource] = ()) -> str | DataSource:
    """The entry with the commit that its address stands for: the one it has in `before`, else what it is now.

    What is no hub's address stays as it is. Raises DataError as `commit_of`.
    """
    entry = given if isinstance(given, DataSource) else DataSource(path=given)
    address = parse(entry.path)
    if address is None or entry.commit is not None:
        return given
    known = (old.commit for old in before if isinstance(old, DataSource) and old.path == entry.path and old.commit)
    return entry.model_copy(update={"commit": next(known, None) or commit_of(address)})


def in_ledger(named: Mapping[str, Iterable[Mapping[str, object]]]) -> list[dict[str, object]]:
    """The ledger's `sources`: what was named under each key (data.train is `data`) that is more than a path."""
    return [{"of": key, **one} for key, listed in named.items() for one in listed]


def source_lines(named: Iterable[Mapping[str, object]]) -> list[str]:
    """What the ledger's `sources` say, a line each, for people."""
    return [_line(one) for one in named]


def _line(one: Mapping[str, object]) -> str:
    said = [f"commit {str(one['commit'])[:12]}, {one['files']} files"] if one.get("commit") else []
    if one.get("rows") is not None:
        whole = f"fewer than {one['rows']} rows or as many, all are read"
        said.append(f"the first {one['rows']} rows are read, the others left out" if one.get("cut") else whole)
    if one.get("share") is not None:
        mix = one.get("mix")
        said.append(f"share {one['share']}" + (f": {mix['words']}" if isinstance(mix, Mapping) else ""))
    return f"{one['path']}: {'; '.join(said)}"


def _part(given: Given, reading: Reading, columns: Mapping[str, str]) -> tuple[Part, list[FileEntry], dict[Path, int]]:
    """What one entry names, with what is passed over in it and the files that are not read to their end."""
    path = given.path if isinstance(given, DataSource) else given
    rows = given.rows if isinstance(given, DataSource) else None
    address = parse(path)
    if address is None:
        commit, listed = None, iter(entries_of(Path(path)))
    else:
        rows = rows or address.rows
        remote = RemoteFiles.of(address, readable_type, given.commit if isinstance(given, DataSource) else None)
        commit = remote.commit
        listed = (entry for file in remote.files for entry in entries_of(remote.fetch(file)))
    files: list[Path] = []
    skipped: list[FileEntry] = []
    limits: dict[Path, int] = {}
    room, cut = rows, False
    for entry in listed:
        if entry.reason:
            skipped.append(entry)
        elif room == 0:
            cut = True
            break  # what would not be read is not fetched
        else:
            files.append(entry.path)
            if room is not None:
                count = _rows_in(entry.path, reading, columns, room + 1)
                if count > room:
                    limits[entry.path], cut = room, True
                    break
                room -= count
    return Part(str(path), tuple(files), rows, cut, share_of(given), commit), skipped, limits


def _rows_in(file: Path, reading: Reading, columns: Mapping[str, str], most: int) -> int:
    holder = stored(file)
    with read_errors(file):
        state = holder.stat()
    known = (state.st_size, state.st_mtime_ns, state.st_ino)
    return _counted_rows(file, known, reading.encoding, reading.txt, tuple(columns.items()), most)


@lru_cache(maxsize=256)  # what is named is looked at several times on its way
def _counted_rows(
    file: Path,
    state: tuple[int, ...],
    encoding: Encodings,
    txt: TxtRows,
    columns: tuple[tuple[str, str], ...],
    most: int,
) -> int:
    return sum(1 for _ in islice(open_raw_rows(file, dict(columns), Reading(encoding, txt)), most))


def _counted(left: Iterable[tuple[str, FileEntry]], read: Mapping[Path, int]) -> Counter[tuple[str, str]]:
    skipped = Counter[tuple[str, str]]()
    for place, entry in left:
        if not entry.nameable or entry.path.resolve() not in read:
            known = (place, entry.reason) in skipped or len(skipped) < MOST_REASONS
            skipped[(place, entry.reason if known else "of other kinds")] += 1
    return skipped
