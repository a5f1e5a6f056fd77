"""Are a folder's weight files all there and whole? Asked before anything is loaded; reads a few bytes of each."""

import json
from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open

from medicalgpt.errors import ModelError

_INDEX = ".safetensors.index.json"


def check_complete(folder: Path, names: Iterable[str]) -> None:
    """Refuse a half-copied model: a listed file that is missing, or a weight file that is not what its header says.

    Raises:
        ModelError: naming the file and what is wrong with it.
    """
    names = list(names)
    for index in (n for n in names if n.endswith(_INDEX)):
        missing = sorted(listed_in(folder / index) - set(names))
        if missing:
            raise ModelError(
                f"{folder} is only half there: {index} lists {', '.join(missing[:3])}"
                f"{f' and {len(missing) - 3} more' if len(missing) > 3 else ''}, which {'is' if len(missing) == 1 else 'are'} "
                "missing; copy or download the model again"
            )
    for name in (n for n in names if n.endswith(".safetensors")):
        if fault := _fault(folder / name):
            raise ModelError(f"{folder / name} is damaged ({fault}); copy or download the model again")


def listed_in(index: Path) -> set[str]:
    """The weight files that an index names. Raises ModelError: it is none."""
    try:
        listed = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        if not all(isinstance(name, str) for name in listed):
            raise TypeError("a file name is no text")
        return listed
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{index} is not a readable list of weight files; copy or download the model again") from error


def _fault(path: Path) -> str | None:
    """What is wrong with a safetensors file: the library's own check of header, shapes and length, which maps no tensor."""
    try:
        with safe_open(path, framework="numpy"):
            return None
    except OSError as error:
        return error.strerror or "no ordinary file"
    except SafetensorError as error:
        return f"{path.stat().st_size} bytes: {str(error).removeprefix('Error while deserializing header: ')}"
