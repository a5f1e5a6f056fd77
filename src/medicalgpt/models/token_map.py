"""What an extended tokenizer adds to an old one: which old tokens each new token replaces."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from medicalgpt.errors import ModelError

FILE = "token_map.json"
_FORMAT = 1


@dataclass(frozen=True)
class TokenMap:
    """How a vocabulary grew.

    New ids are `first`, `first` + 1, …, one for each entry of `replaces`, which holds the old ids that the new token
    stands for. `base` is `vocabulary_hash` of the old tokenizer; `pad_to` rounds the rows of the embedding up.
    """

    base: str
    first: int
    replaces: tuple[tuple[int, ...], ...]
    pad_to: int = 1

    @property
    def size(self) -> int:
        """One more than the largest id."""
        return self.first + len(self.replaces)

    @property
    def new_ids(self) -> range:
        """Ids that the old tokenizer does not have."""
        return range(self.first, self.size)

    def rows(self, present: int) -> int:
        """Rows that an embedding of `present` rows must have for this vocabulary."""
        needed = max(present, self.size)
        return -(-needed // self.pad_to) * self.pad_to if needed > present else present

    def old_ids(self, ids: list[int]) -> list[int]:
        """A text's new ids written in old tokens."""
        return [old for i in ids for old in (self.replaces[i - self.first] if i >= self.first else (i,))]

    def write(self, folder: Path) -> None:
        """Store the map in a folder."""
        values = {
            "format": _FORMAT,
            "base_vocabulary": self.base,
            "first_new_id": self.first,
            "size": self.size,
            "pad_to": self.pad_to,
            "replaces": {str(self.first + i): list(old) for i, old in enumerate(self.replaces)},
        }
        (folder / FILE).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "TokenMap | None":
        """The map in a folder, None where there is none.

        Raises:
            ModelError: it is damaged.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["format"] != _FORMAT:
                raise ModelError(f"{path} has format {values['format']}; this version reads {_FORMAT}")
            found = cls(
                str(values["base_vocabulary"]),
                int(values["first_new_id"]),
                _replaces(values["replaces"], int(values["first_new_id"])),
                int(values["pad_to"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ModelError(f"{path} is damaged ({error}); make the folder again") from error
        return found


def _replaces(entries: Mapping[str, list[int]], first: int) -> tuple[tuple[int, ...], ...]:
    """The entries in the order of their ids, which must follow each other and name old ids only."""
    out = []
    for i in range(first, first + len(entries)):
        old = tuple(int(x) for x in entries[str(i)])
        if not old or not all(0 <= x < first for x in old):
            raise ValueError(f"token {i} replaces {list(old)}; allowed: ids from 0 to {first - 1}")
        out.append(old)
    return tuple(out)


def vocabulary_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 over what every id of a tokenizer means: the same for two tokenizers that fit the same embeddings."""
    table = sorted(tokenizer.get_vocab().items(), key=lambda entry: (entry[1], entry[0]))
    return hashlib.sha256(json.dumps(table, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()
