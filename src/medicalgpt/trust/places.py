"""Where a model lies on this machine, without fetching anything, and whether it is still what it was."""

from collections.abc import Iterable
from pathlib import Path

from medicalgpt.errors import MedicalGPTError
from medicalgpt.models.embedded.registry import EMBEDDED, model_folder
from medicalgpt.models.locate import Located
from medicalgpt.runs.bases import place_hash, resolve_base
from medicalgpt.runs.hashes import hash_file, hash_tree
from medicalgpt.runs.manifest import Manifest
from medicalgpt.runs.trust_parts import State


def base_folder(name: str, run: Path | None = None, record: Manifest | None = None) -> Path | None:
    """The folder of a model as it was named; None where it is not here, as one of a hub."""
    if name in EMBEDDED:
        folder = model_folder(EMBEDDED[name])
        return folder if folder.is_dir() else None
    if run is not None and record is not None:
        return resolve_base(run, record)
    folder = Path(name).expanduser()
    return folder if folder.is_dir() else None


def base_state(folder: Path | None, wanted: str) -> State:
    """Whether a base still has the hash that a run noted."""
    if folder is None:
        return "gone"
    try:
        return "same" if place_hash(Located(str(folder), "model")) == wanted else "changed"
    except MedicalGPTError:
        return "gone"


def files_state(folder: Path, wanted: dict[str, str]) -> State:
    """Whether a folder still holds these files with these hashes; "gone" where none of them is there."""
    there = [name for name in wanted if (folder / name).is_file()]
    if not there:
        return "gone"
    same = len(there) == len(wanted) and all(hash_file(folder / name) == wanted[name] for name in there)
    return "same" if same else "changed"


def same_weights(folders: Iterable[Path], wanted: object, patterns: tuple[str, ...]) -> bool:
    """Whether one of these folders has the hashes that an evaluation noted of the model it measured.

    Args:
        wanted: hashes by file name; of an adapter a list of them, its own first.
    """
    own = wanted[0] if isinstance(wanted, list) and wanted else wanted
    for folder in folders:
        try:
            if hash_tree(folder, patterns) == own:
                return True
        except MedicalGPTError:
            continue
    return False


def short_name(model: str) -> str:
    """A model's name, of a folder its last parts alone: a page may be seen by others."""
    path = Path(model)
    return model if len(path.parts) < 3 else "/".join(path.parts[-2:])
