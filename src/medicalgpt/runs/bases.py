"""Which base an adapter was trained on, by hash: another base under the same name gives wrong answers without an error."""

from pathlib import Path

from medicalgpt.errors import ModelError
from medicalgpt.models.locate import Located
from medicalgpt.models.scorer import MERGED_FROM
from medicalgpt.runs import manifest
from medicalgpt.runs.folder import MERGED
from medicalgpt.runs.hashes import hash_file, hash_json, hash_tree

_MODEL_FILES = ("*.safetensors", "*.json", "*.jinja", "*.py")


def place_hash(place: Located) -> str:
    """SHA-256 of a model's files; of a hub's model: of its name and commit."""
    if place.hub is not None:
        return hash_json(place.address)
    return hash_json(hash_tree(place.folder, _MODEL_FILES))


def run_of(place: Located) -> Path | None:
    """The finished run whose folder `model` or `merged` this is, or None."""
    folder = Path(place.folder)
    if place.hub is not None or folder.name not in ("model", MERGED):
        return None
    return folder.parent if (folder.parent / manifest.NAME).is_file() else None


def check_base(adapter: Located, base: Located, below: Located | None = None) -> str:
    """Prove by the run's manifest that an adapter was trained on this base, with the adapter `below` merged into it.

    Returns:
        How far it could be proved, in a few words.

    Raises:
        ModelError: the manifest names another base; both hashes are given.
    """
    run = run_of(adapter)
    if run is None:
        return "no manifest: base not checked"
    record = manifest.read(run)
    trained_on = resolve_base(run, record)
    if trained_on is not None and (trained_on / "adapter_config.json").is_file():
        # The run went on training another run's adapter; that one knows the base.
        return check_base(Located(str(trained_on), "adapter"), base, below)
    wanted, found = record.hashes.base, place_hash(base)
    if below is None:
        if wanted == found:
            return "base hash equals the manifest's"
        if base.hub is not None:
            return "base of a hub under another name or commit: not checked"
        raise ModelError(_another(adapter, base, wanted, found))
    if wanted == found:
        raise ModelError(
            f"{adapter.name} was trained on {base.name} alone (base hash {wanted}), not on top of "
            f"{below.name}; merging both would mix two models. Merge it alone"
        )
    return _check_merged(adapter, below, wanted, trained_on)


def _check_merged(adapter: Located, below: Located, wanted: str, trained_on: Path | None) -> str:
    """The base of a later link is the link below, merged."""
    if trained_on is None:
        return "the merged model it was trained on is gone: base not checked"
    found = place_hash(Located(str(trained_on), "model"))
    if wanted != found:
        raise ModelError(_another(adapter, Located(str(trained_on), "model"), wanted, found))
    stamp, lower = trained_on / MERGED_FROM, run_of(below)
    if lower is None or not stamp.is_file():
        return "base hash equals the manifest's; whether it is the adapter below, merged, is not recorded"
    said, is_ = stamp.read_text(encoding="utf-8").strip(), hash_file(lower / manifest.NAME)
    if said != is_:
        raise ModelError(
            f"{adapter.name} was trained on a model merged from the run with manifest {said}, but {below.name} is "
            f"of the run with manifest {is_}; give the adapters in the order they were trained"
        )
    return "base is the adapter below, merged"


def _another(adapter: Located, base: Located, wanted: str, found: str) -> str:
    return (
        f"{adapter.name} was trained on another base: its manifest has base hash {wanted}, {base.name} has "
        f"{found}. Give the base it was trained on"
    )


def resolve_base(run: Path, record: manifest.Manifest) -> Path | None:
    """The folder that a manifest's base names, if it is still there."""
    named = Path(record.base).expanduser()
    # As it was named where training was started: from here, or from a folder above the run.
    places = [named, *(above / named for above in run.resolve().parents)]
    for parent in record.parents:
        # Seen from the run's own folder, it is found from any working directory.
        places.append(run / parent.path / named.name)
    for place in places:
        if (place / manifest.NAME).is_file() and (place / "model").is_dir():
            return place / "model"
        if (place / "config.json").is_file() or (place / "adapter_config.json").is_file():
            return place
    return None


def base_hashes(found: Located, tokenizer: str | None = None) -> dict[str, str]:
    """SHA-256 of the base's files (a hub's model: its name and commit), and of the tokenizer beside it."""
    return {"base": place_hash(found)} | ({"tokenizer": place_hash(Located(tokenizer, "model"))} if tokenizer else {})
