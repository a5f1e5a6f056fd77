"""Small files of runs, read with care: they may be damaged, of anybody, or half written."""

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from medicalgpt.config.yaml_text import LONGEST, YamlError, parse
from medicalgpt.runs.ownership import leaves

_LARGEST: Final = 64 << 20  # bytes of a JSON or YAML file that is read
_DEEPEST: Final = 32


def read_json(path: Path) -> dict[str, JsonValue] | None:
    """A JSON object; None where there is none that can be read."""
    try:
        if path.stat().st_size > _LARGEST:
            return None
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def read_config(path: Path) -> dict[str, object]:
    """The values of a config.resolved.yaml by dotted key, in its order; empty where it cannot be read."""
    try:
        if path.stat().st_size > 4 * LONGEST:
            return {}
        found = parse(path.read_text(encoding="utf-8")).value
    except (OSError, ValueError, YamlError):
        return {}
    return dict(leaves(found)) if isinstance(found, dict) else {}


def size_of(folder: Path, depth: int = 0) -> int:
    """Bytes of all files below a folder; links are not followed, and what cannot be read counts as nothing."""
    total = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    total += size_of(Path(entry.path), depth + 1) if depth < _DEEPEST else 0
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total


def changed_at(*paths: Path) -> datetime | None:
    """When the first of these that is there was last written."""
    for path in paths:
        with suppress(OSError):
            return datetime.fromtimestamp(path.stat().st_mtime, UTC).replace(microsecond=0)
    return None


def number_of(value: object) -> float | None:
    """A JSON number; None for anything else."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def plain(text: str) -> str:
    """A text of a file for a terminal: what would move its cursor or change its colors becomes a mark."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
