"""From raw file to final weights: every link by its hash, looked at again, and the certificates on the way."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from medicalgpt.errors import ModelError
from medicalgpt.evaluation.outcomes import JsonObject
from medicalgpt.export import certificate
from medicalgpt.export.certificate import weights_hash
from medicalgpt.models.scorer import MERGED_FROM
from medicalgpt.runs import manifest
from medicalgpt.runs.folder import MERGED
from medicalgpt.runs.hashes import hash_file
from medicalgpt.runs.manifest import Manifest
from medicalgpt.runs.trust_parts import Certificate, Data, Link, State
from medicalgpt.trust.corpora import links_of
from medicalgpt.trust.data import content_state, stage_config
from medicalgpt.trust.places import base_folder, base_state, files_state, short_name
from medicalgpt.trust.subject import Stage, Subject

_MOST: Final = 50  # certificates in a folder


def lineage_of(subject: Subject, data: Sequence[Data], curations: Mapping[Path, Sequence[str]]) -> list[Link]:
    """All links, those of `curations` (as `corpora.folders_of`) first, then stage after stage; each says whether what lies there now
    has the hash that was noted."""
    by_stage = {one.stage: one for one in data}
    noted = _noted_by_later(subject)
    found = list(links_of(curations, noted))
    for stage, record in subject.finished:
        found += _inputs(stage, record, by_stage[stage.name])
        found += _outputs(stage, record, noted)
    return found


def _inputs(stage: Stage, record: Manifest, data: Data) -> Iterator[Link]:
    yield Link(what="data", stage=stage.name, name="", sha256=data.data_sha256, state=data.state)
    if record.hashes.eval is not None:
        config = stage_config(stage)
        state: State = "unchecked"
        if config is not None:
            state = content_state(config, config.data.eval, record.hashes.eval)
        yield Link(what="held out", stage=stage.name, name="", sha256=record.hashes.eval, state=state)
    folder = base_folder(record.base, stage.folder, record)
    local = folder is not None or "/" not in record.base or Path(record.base).is_absolute()
    state = base_state(folder, record.hashes.base) if local else "unchecked"
    yield Link(what="base", stage=stage.name, name=short_name(record.base), sha256=record.hashes.base, state=state)


def _outputs(stage: Stage, record: Manifest, noted: dict[Path, str]) -> Iterator[Link]:
    file = stage.folder / manifest.NAME
    sha256, wanted = hash_file(file), noted.get(stage.folder.resolve())
    state: State = "unchecked" if wanted is None else "same" if wanted == sha256 else "changed"
    yield Link(what="manifest", stage=stage.name, name=manifest.NAME, sha256=sha256, state=state)
    state = files_state(stage.folder / "model", record.files)
    main = sorted(name for name in record.files if name.endswith(".safetensors"))
    one = record.files[main[0]] if len(main) == 1 else None
    yield Link(what="weights", stage=stage.name, name=", ".join(main[:3]), sha256=one, state=state)
    merged = stage.folder / MERGED
    if merged.is_dir():
        yield Link(
            what="merged", stage=stage.name, name=MERGED, sha256=_merged_hash(merged), state=_merged(merged, sha256)
        )


def _noted_by_later(subject: Subject) -> dict[Path, str]:
    """Run folder → the hash of its manifest, as a run that came after it noted it."""
    found = {}
    for stage, record in subject.finished:
        for parent in record.parents:
            found[(stage.folder / Path(parent.path).expanduser()).resolve()] = parent.sha256
    return found


def _merged_hash(merged: Path) -> str | None:
    proof = _read(merged) or {}
    comparisons = proof.get("comparisons") or [{}]
    found = comparisons[-1].get("second_sha256")
    return str(found) if found else None


def _merged(merged: Path, manifest_sha256: str) -> State:
    """Whether merged weights are those of the certificate, made from the run whose manifest lies there."""
    stamp, wanted = merged / MERGED_FROM, _merged_hash(merged)
    if wanted is None:
        return "unchecked"
    if stamp.is_file() and stamp.read_text(encoding="utf-8").strip() != manifest_sha256:
        return "changed"
    return "same" if weights_hash(merged) == wanted else "changed"


def _read(folder: Path) -> JsonObject | None:
    found = certificate.read(folder)
    return None if found is None else dict(found)


def certificates_of(subject: Subject) -> list[Certificate]:
    """Those of the stages' merges, and of models that were made from them and lie in the same folders.

    Raises:
        ModelError: one is damaged.
    """
    places = [(stage.name, stage.folder) for stage in subject.stages]
    if subject.kind == "pipeline":
        places.append(("", subject.folder))
    own = {stage.folder.resolve() for stage in subject.stages}
    found = []
    for name, folder in places:
        for file in sorted(folder.glob(f"*/{certificate.NAME}"))[:_MOST]:
            if file.parent.resolve() not in own:
                found.append(_certificate(name, folder, file))
    return found


def _certificate(stage: str, folder: Path, file: Path) -> Certificate:
    values = _read(file.parent) or {}
    try:
        return Certificate(
            stage=stage,
            place=file.parent.relative_to(folder).as_posix(),
            step=values["step"],
            verdict=values["verdict"],
            max_abs_delta=values["max_abs_delta"],
            mean_kl=values.get("mean_kl"),
            greedy_agreement=values["greedy_agreement"],
            excess=values["excess"],
        )
    except (KeyError, ValueError) as error:
        raise ModelError(f"{file} is damaged ({type(error).__name__}); make the model again") from None
