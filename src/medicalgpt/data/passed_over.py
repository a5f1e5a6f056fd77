"""Why a file of a folder or archive is not read: its type, a hidden name, or that it only describes the others."""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

from medicalgpt.data.storage import COMPRESSIONS, compression, open_bytes
from medicalgpt.errors import DataError

DOCUMENTS: Final = (".docx", ".pdf", ".html", ".htm", ".xml")
"""Types of which a file is a document."""
TYPES: Final = (".jsonl", ".json", ".csv", ".tsv", ".xlsx", ".parquet", ".arrow", ".txt", ".md", *DOCUMENTS)
ALLOWED = f"allowed: {', '.join(TYPES)}, each also with {', '.join(COMPRESSIONS)}, or in a .zip archive"

# A data folder often holds its own description; training on a license text is never what was meant.
_ABOUT_FILES = {"readme", "license", "licence", "notice", "changelog", "contributing", "citation", "disclaimer"}
_INFO: Final = "dataset_info.json"
_ABOUT_SETS: Final = (_INFO, "dataset_infos.json", "dataset_dict.json")
"""What Hugging Face datasets writes beside its data."""
_STATE: Final = "state.json"  # stands beside _INFO there; alone it may be anything
_LISTED_BY: Final = ("file_name", "hf_hub_url", "ms_hub_url", "script_url", "cloud_file_name")
"""Where LLaMA-Factory's list of data sets says that one of them lies."""
_MOST_BYTES: Final = 1 << 20

_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9_+-]{0,9}")


def file_type(path: Path) -> str:
    """The type of `path` by its name, that of a compression taken off: one of TYPES, or "" for any other name."""
    name = path.name.lower()
    name = name if compression(path) == "none" else name[: -len(path.suffix)]
    return next((t for t in TYPES if name.endswith(t) and name != t), "")


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden: its name begins with a dot, it is what macOS packs beside the files, or Office's mark of a
    file that somebody has open."""
    return name.startswith((".", "~$")) or name == "__MACOSX"


def why_not(file: Path, beside: Collection[str]) -> tuple[str, bool]:
    """Why a file is passed over, "" where it is read, and whether it would be read if it were named by itself.

    Args:
        beside: the names of all files in its folder.
    """
    if is_hidden(file.name):
        named = file_type(file) and not file.name.startswith(("._", "~$"))  # which are programs' notes on other files
        return (f"hidden {file_type(file)} (named by itself it is read)", True) if named else ("hidden", False)
    if not file_type(file):
        return _ending(file), False
    if file.name.split(".")[0].casefold() in _ABOUT_FILES:
        return f"{file.name} (a description; named by itself it is read)", True
    if file.name == _INFO and _is_list_of_sets(file):
        return f"{file.name} (LLaMA-Factory's list; what it calls columns goes into data.columns)", True
    if file.name in _ABOUT_SETS or (file.name == _STATE and _INFO in beside):
        return f"{file.name} (a description; named by itself it is read)", True
    return "", False


def reasons_line(reasons: Mapping[str, int]) -> str:
    """Reasons with their numbers of files, in one line."""
    return ", ".join(f"{n} × {reason}" for reason, n in reasons.items())


def _ending(file: Path) -> str:
    """What a file's name ends in, without the name: that may be a patient's."""
    packed = file.suffix if compression(file) != "none" else ""
    inner = Path(file.name[: len(file.name) - len(packed)]).suffix
    return "".join(part.lower() for part in (inner, packed) if _ENDING.fullmatch(part)) or "without an ending"


def _is_list_of_sets(file: Path) -> bool:
    """Whether a `dataset_info.json` is LLaMA-Factory's, which says where data sets lie and what their columns mean."""
    try:
        with open_bytes(file) as raw:
            value = json.loads(raw.read(_MOST_BYTES))
    except (OSError, DataError, ValueError, RecursionError):
        return False
    entries: Iterable[object] = value.values() if isinstance(value, dict) else ()
    return any(isinstance(entry, dict) and any(key in entry for key in _LISTED_BY) for entry in entries)
