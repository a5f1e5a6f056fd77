"""SHA-256 of files, folders, texts and JSON values: what "the same data, base or code" means here."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from medicalgpt.errors import RunError

_BLOCK = 1 << 20


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
        raise RunError(f"{root} holds no file like {', '.join(patterns)}")
    names = {p.relative_to(root).as_posix(): p for p in found}
    return {name: hash_file(names[name]) for name in sorted(names)}


def hash_text(text: str) -> str:
    """SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def hash_json(value: object) -> str:
    """SHA-256 of a JSON value, whatever the order of its keys; raises ValueError for NaN and TypeError for objects."""
    return hash_text(json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False))


def code_hash() -> str:
    """One hash over this package's own .py files, names included."""
    import medicalgpt

    return hash_json(hash_tree(Path(medicalgpt.__file__).parent, ("**/*.py",)))
