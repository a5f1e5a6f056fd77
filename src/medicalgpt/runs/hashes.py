"""SHA-256 of files, folders, texts and JSON values: what "the same data, base or code" means here."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from medicalgpt.errors import RunError

_BLOCK = 1 << 20

NUMBERS: Final = (
    "data",
    "rendering",
    "models",
    "kernels",
    "objectives",
    "generate",
    "refusals",
    "rewards",
    "checkpoints",
    "training",
)
"""The rooms whose code makes a run's numbers: from a file to a tree, a batch, log-probabilities, a loss, a step, and the
answers that reinforcement learning draws. The others show, check, serve or save what came out, or their outcome enters as a
hash of its own (settings, tokenizer, base weights): a word of the web page or a new version number changes no run.
"""


_DATA: Final = ("refusals/*.yaml", "refusals/*.json")


def hash_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes as 64 hex digits; raises RunError when it cannot be read."""
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def hash_tree(path: str | Path, patterns: Sequence[str] = ("**/*",)) -> dict[str, str]:
    """Relative name → SHA-256 of every file below `path` that matches a glob; `hash_json` of it is one hash for all.

    Raises:
        RunError: `path` is no folder, or no file matches.
    """
    root = Path(path)
    if not root.is_dir():
        raise RunError(f"{root} is not a folder; expected one with files like {', '.join(patterns)}")
    found = {p for pattern in patterns for p in root.glob(pattern) if p.is_file()}
    if not found:
        raise RunError(f"{root} holds no file like {', '.join(patterns)}; copy it again, or name another folder")
    names = {p.relative_to(root).as_posix(): p for p in found}
    return {name: hash_file(names[name]) for name in sorted(names)}


def hash_text(text: str) -> str:
    """SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def hash_json(value: object) -> str:
    """SHA-256 of a JSON value, whatever the order of its keys; raises ValueError for NaN and TypeError for objects."""
    return hash_text(json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False))


def code_hash() -> str:
    """One hash over the .py files of this package's rooms that make numbers, and the data of theirs, names included."""
    import medicalgpt

    return hash_json(hash_tree(Path(medicalgpt.__file__).parent, [*(f"{room}/**/*.py" for room in NUMBERS), *_DATA]))
