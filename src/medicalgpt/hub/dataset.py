"""An address's files at one commit: found out once, then the same with and without a network."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from medicalgpt.errors import DataError
from medicalgpt.hub.address import Address
from medicalgpt.hub.card import MOST_BYTES, Configuration, configurations
from medicalgpt.hub.listing import RemoteFile
from medicalgpt.hub.repository import commit_of, fetched, listed
from medicalgpt.hub.splits import KindOf, Splits, first_names, has_script, in_words, splits_of

_CARD: Final = "README.md"


@dataclass(frozen=True)
class RemoteFiles:
    """The files behind an address at one commit, none of them fetched yet; `left`: how many the repository has beside them."""

    address: Address
    commit: str
    files: tuple[RemoteFile, ...]
    left: int

    @classmethod
    def of(cls, address: Address, kind_of: KindOf, commit: str | None = None) -> "RemoteFiles":
        """Find them; `commit` where it is known already.

        Raises:
            DataError: as `commit_of`; no such split, configuration or file, or none is named and there are several; a data
                set that only its own script can read.
        """
        commit = commit or commit_of(address)
        there = listed(address, commit)
        chosen = _chosen(address, commit, there, kind_of)
        by_path = {file.path: file for file in there}
        return cls(
            replace(address, revision=commit),
            commit,
            tuple(by_path[name] for name in chosen),
            len(there) - len(chosen),
        )

    def fetch(self, file: RemoteFile) -> Path:
        """The file on disk. Raises DataError: it cannot be fetched, or is not as large as it was said to be."""
        return fetched(self.address, self.commit, file)


def _chosen(address: Address, commit: str, listed: Sequence[RemoteFile], kind_of: KindOf) -> list[str]:
    names, inside = [file.path for file in listed], address.inside
    if inside in names:
        if not kind_of(inside):
            raise DataError(
                f"{address}: this file type is not read; {address.place} has {first_names(filter(kind_of, names))}"
            )
        return [inside]
    below = [name for name in names if inside and name.startswith(f"{inside}/") and kind_of(name)]
    card = _card(address, commit, listed)
    found, default = splits_of(names, card, kind_of, address.place)
    if has_script(names, address.repo) and not card:
        if not below:
            raise DataError(
                f"{address.place}: the data set is read by its own script ({address.repo.split('/')[1]}.py), and code of data sets is "
                f"never run; look for its converted files at {address.hub}://{address.repo}@refs/convert/parquet/CONFIGURATION/SPLIT, "
                "or name the files yourself"
            )
        return below
    files = _named(address, found, default)
    if files or below:
        return files or below
    what = f"has no {inside!r}" if inside else "holds several configurations or splits, or none"
    raise DataError(
        f"{address.place}: {what}; name one of it as {address.place}/CONFIGURATION/SPLIT, or a file; there is: {in_words(found)}"
    )


def _named(address: Address, found: dict[str, Splits], default: str | None) -> list[str]:
    """The files of the split that is named; without a name `train`, or the only one there is."""
    splits = found.get(default or "", {})
    first, _, rest = address.inside.partition("/")
    if address.inside in splits:
        return splits[address.inside]
    if address.inside and first not in found:
        return []
    splits = found[first] if address.inside else splits
    if rest:
        return splits.get(rest, [])
    return splits.get("train") or (next(iter(splits.values())) if len(splits) == 1 else [])


def _card(address: Address, commit: str, listed: Sequence[RemoteFile]) -> list[Configuration]:
    card = next((file for file in listed if file.path == _CARD), None)
    if card is None:
        return []
    if card.size > MOST_BYTES:
        raise DataError(
            f"{address.place}: its README.md has {card.size:,} bytes; name the files: {address.place}/a/file"
        )
    return configurations(fetched(address, commit, card).read_bytes(), address.place)
