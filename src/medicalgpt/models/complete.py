"""Are a folder's weight files all there and whole? Asked before anything is loaded; reads a few bytes of each."""

import json
from collections.abc import Iterable
from pathlib import Path

from medicalgpt.errors import ModelError

_INDEX = ".safetensors.index.json"


def check_complete(folder: Path, names: Iterable[str]) -> None:
    """Refuse a half-copied model: a listed file that is missing, or a weight file shorter than its header says.

    Raises:
        ModelError: naming the file and what is wrong with it.
    """
    names = list(names)
    for index in (n for n in names if n.endswith(_INDEX)):
        missing = sorted(_listed(folder / index) - set(names))
        if missing:
            raise ModelError(
                f"{folder} is only half there: {index} lists {', '.join(missing[:3])}"
                f"{f' and {len(missing) - 3} more' if len(missing) > 3 else ''}, which {'is' if len(missing) == 1 else 'are'} "
                "missing; copy or download the model again"
            )
    for name in (n for n in names if n.endswith(".safetensors")):
        if fault := _fault(folder / name):
            raise ModelError(f"{folder / name} is damaged ({fault}); copy or download the model again")


def _listed(index: Path) -> set[str]:
    try:
        return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{index} is not a readable list of weight files; copy or download the model again") from error


def _fault(path: Path) -> str | None:
    """What is wrong with a safetensors file: 8 bytes of header length, the header, then the tensors without gaps."""
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(8)
        length = int.from_bytes(first, "little")
        if len(first) < 8 or length > size - 8:
            return f"{size} bytes, the header is cut off"
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return "its header is not readable"
    whole = 8 + length + max(ends, default=0)
    return None if size == whole else f"{size} bytes, its header speaks of {whole}"
