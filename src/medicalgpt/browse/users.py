"""Who goes on from a run: runs trained on it, pipelines that it is a stage of, models whose lineage or certificate names it."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from medicalgpt.browse.files import read_json
from medicalgpt.browse.find import find
from medicalgpt.browse.info import RunInfo
from medicalgpt.errors import RunError
from medicalgpt.pipeline.plan import PLAN
from medicalgpt.runs import manifest
from medicalgpt.runs.hashes import hash_file

_LINEAGE: Final = "lineage.json"
_CERTIFICATE: Final = "certificate.json"
_DEEPEST: Final = 8


@dataclass(frozen=True)
class User:
    """What would lose its origin with a run: where it lies, and how it goes on from the run."""

    path: Path
    why: str

    def __str__(self) -> str:
        return f"{self.path} ({self.why})"


def users_of(folder: Path, among: Path) -> list[User]:
    """What goes on from the run, corpus, pipeline or evaluation in a folder, as far as it lies below `among`.

    What lies in the folder itself does not count, as it goes with it.

    Raises:
        RunError: `among` is no folder.
    """
    own = folder.resolve()
    found = [one for one in find(among).runs if not _inside(one.path, own)]
    users = [User(one.path, why) for one in found for why in _by_run(one, own)]
    users += [User(one.path, "a pipeline with it as a stage") for one in found if _has_stage(one, own)]
    users += _by_model(own, among.resolve())
    return list(dict.fromkeys(users))


def usual_among(folder: Path) -> Path:
    """Where those are looked for that go on from a run: the folder that holds it, or the pipeline that it is a stage of."""
    above = folder.resolve().parent
    return above.parent if (above / PLAN).is_file() else above


def _by_run(one: RunInfo, own: Path) -> Iterator[str]:
    if any(_inside(parent, own) for parent in one.parents):
        yield "a run that goes on from it" if one.kind != "corpus" else "a corpus made from it"


def _has_stage(one: RunInfo, own: Path) -> bool:
    plan = read_json(one.path / PLAN) if one.kind == "pipeline" else None
    stages = plan.get("stages") if plan else None
    names = [stage.get("name") for stage in stages if isinstance(stage, dict)] if isinstance(stages, list) else []
    return own.parent == one.path.resolve() and own.name in names


def _by_model(own: Path, among: Path) -> Iterator[User]:
    """Models elsewhere that were made of the runs in this folder, by the hashes of their manifests."""
    hashes = {hash_file(path): path.parent for path in _files(own, {manifest.NAME})}
    if not hashes:
        return
    for path in _files(among, {_LINEAGE, _CERTIFICATE}):
        if _inside(path, own):
            continue
        named = sorted(_texts(read_json(path)) & hashes.keys())
        if named:
            what = "lineage" if path.name == _LINEAGE else "certificate"
            yield User(path.parent, f"a model whose {what} names {hashes[named[0]].name}")


def _texts(value: object, depth: int = 0) -> set[str]:
    """All texts in JSON values."""
    if isinstance(value, str):
        return {value}
    inner: Sequence[object] = (
        list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, list) else []
    )
    return {text for one in inner for text in _texts(one, depth + 1)} if depth < 32 else set()


def _files(root: Path, names: set[str]) -> Iterator[Path]:
    """Files of these names below a folder; links are not followed."""
    for folder, below, files in os.walk(root):
        at = Path(folder)
        if len(at.relative_to(root).parts) >= _DEEPEST:
            below.clear()
        yield from (at / name for name in sorted(names & set(files)) if not (at / name).is_symlink())


def _inside(path: Path, folder: Path) -> bool:
    place = path.resolve()
    return place == folder or folder in place.parents


def require_unused(folder: Path, among: Path) -> None:
    """Raises RunError where something goes on from what is in a folder."""
    users = users_of(folder, among)
    if users:
        listed = "".join(f"\n- {user}" for user in users[:10]) + ("\n- …" if len(users) > 10 else "")
        raise RunError(
            f"{folder} is what others go on from, and their origin could not be proved without it:{listed}\n"
            "Delete those first, or give --force"
        )
