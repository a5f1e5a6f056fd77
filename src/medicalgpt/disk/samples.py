"""The sample data and configurations that come with the package: beside the source in a clone, in `share/` of an installation."""

import shutil
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Final

from medicalgpt.disk.scratch import scratch
from medicalgpt.errors import MedicalGPTError

FOLDERS: Final = ("configs", "examples")
_CLONE: Final = Path(__file__).resolve().parents[3]


def sample_folders() -> dict[str, Path]:
    """Where each of FOLDERS lies. Raises MedicalGPTError where an installation has lost them."""
    found = {name: _CLONE / name for name in FOLDERS}
    if not (_CLONE / "pyproject.toml").is_file() or not all(path.is_dir() for path in found.values()):
        found = {name: path for name in FOLDERS if (path := _installed(name)) is not None}
    if missing := [name for name in FOLDERS if name not in found]:
        raise MedicalGPTError(
            f"this installation has no {' and no '.join(missing)}: they come with the wheel; install it again "
            "(pip install --force-reinstall --no-deps medicalgpt), or take them from the source distribution"
        )
    return found


def _installed(name: str) -> Path | None:
    """The folder into which pip put the wheel's data, wherever its environment keeps them."""
    try:
        listed = files("medicalgpt") or []
    except PackageNotFoundError:
        return None
    for file in listed:
        parts = file.parts
        if "share" in parts and parts[parts.index("share") + 1 : parts.index("share") + 3] == ("medicalgpt", name):
            whole = Path(str(file.locate())).resolve()
            return whole.parents[len(parts) - parts.index(name) - 2]
    return None


def copy_samples(target: Path) -> list[Path]:
    """Copy the configurations and the sample data below `target`; nothing is there that was not whole.

    Raises:
        MedicalGPTError: one of them is there already, or cannot be written.
    """
    found = sample_folders()
    if taken := [str(target / name) for name in FOLDERS if (target / name).exists()]:
        raise MedicalGPTError(f"{' and '.join(taken)} already there: name another folder, or move it away first")
    try:
        target.mkdir(parents=True, exist_ok=True)
        with scratch(target, ".examples-") as work:
            for name, path in found.items():
                shutil.copytree(path, work / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
            for name in found:
                (work / name).rename(target / name)
    except OSError as error:
        raise MedicalGPTError(f"cannot write into {target}: {error.strerror or error}") from error
    return [target / name for name in FOLDERS]
