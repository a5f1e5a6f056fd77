"""lineage.json: what a published model was made from, for its card and for whoever makes the next model from it.

Hashes, counts and numbers out of the runs' manifests; no path, no file name and no text of a row.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import quote

from medicalgpt.errors import ModelError
from medicalgpt.export.certificate import Certificate
from medicalgpt.hub.address import Address
from medicalgpt.models.adapter_config import base_name
from medicalgpt.models.embedded.registry import EMBEDDED, ORIGIN_FILE, embedded
from medicalgpt.models.locate import Located, hub_address, locate
from medicalgpt.runs import manifest
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.bases import place_hash, resolve_base, run_of
from medicalgpt.runs.hashes import hash_file

NAME = "lineage.json"
_ROWS = ("rows", "kept", "truncated", "split", "dropped")


LineageEntry = dict[str, Any]
"""A stage or a step, as the JSON object it is in the file; older versions wrote fewer keys."""


class LineageBase(TypedDict):
    """Where it all began; null where unknown."""

    name: str
    licence: str | None
    link: str | None
    sha256: str | None


@dataclass(frozen=True)
class Lineage:
    """The base, the stages it was trained in and the steps taken since, the earliest first.

    `base` has `name`, `licence`, `link` and `sha256` (null where unknown); a stage has `stage`, `rows` (by outcome),
    `data_sha256`, `eval_sha256`, `tokens`, `seed`, `before`, `after` and `manifest_sha256`; a step what its certificate
    says in short.
    """

    base: LineageBase
    stages: list[LineageEntry] = field(default_factory=list)
    steps: list[LineageEntry] = field(default_factory=list)

    def then(self, certificate: Certificate) -> "Lineage":
        """With one step more."""
        worst = certificate.worst.as_dict()
        step = {"step": certificate.step, "drift": certificate.excess, **worst, "measured": certificate.measured}
        return Lineage(self.base, self.stages, [*self.steps, step])

    def write(self, folder: Path) -> None:
        """Store lineage.json beside the weights."""
        write_text(folder / NAME, json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")


def lineage_of(place: Located, adapters: Sequence[Located] = ()) -> Lineage:
    """How a whole model, with adapters on it, came about; as far as its folder and the manifests still there tell."""
    found = _own(place)
    return Lineage(found.base, [*found.stages, *(s for a in adapters for s in _adapter_stages(a))], found.steps)


def _own(place: Located) -> Lineage:
    """A base, the model folder of a run, or what a step of ours left."""
    folder = Path(place.folder)
    if (folder / NAME).is_file():
        return _read(folder / NAME)
    run = run_of(place)
    if run is None:
        return Lineage(_base(place))
    record = manifest.read(run)
    below = resolve_base(run, record)
    if below is None:
        under = Lineage(_named(record))
    elif _is_adapter(below):
        adapter = Located(str(below), "adapter")
        under = lineage_of(locate(base_name(adapter)), [adapter])
    else:
        under = _own(Located(str(below), "model"))
    return Lineage(under.base, [*under.stages, _stage(run, record)], under.steps)


def _adapter_stages(adapter: Located) -> list[LineageEntry]:
    """The stage that an adapter's run was, after those of the adapter that it went on training."""
    run = run_of(adapter)
    if run is None:
        return [{"stage": "adapter without a manifest", "sha256": place_hash(adapter)}]
    record = manifest.read(run)
    below = resolve_base(run, record)
    earlier = _adapter_stages(Located(str(below), "adapter")) if below is not None and _is_adapter(below) else []
    return [*earlier, _stage(run, record)]


def _is_adapter(folder: Path) -> bool:
    return (folder / "adapter_config.json").is_file()


def _stage(run: Path, record: manifest.Manifest) -> LineageEntry:
    return {
        "stage": record.stage,
        "rows": {name: record.ledger[name] for name in _ROWS if name in record.ledger},
        "data_sha256": record.hashes.data,
        "eval_sha256": record.hashes.eval,
        "tokens": record.tokens,
        "seed": record.seed,
        "before": record.before,
        "after": record.after,
        "manifest_sha256": hash_file(run / manifest.NAME),
    }


def _named(record: manifest.Manifest) -> LineageBase:
    """The base as a manifest names it, where it is no folder (any more)."""
    if record.base in EMBEDDED:
        return _registered(record.base, record.hashes.base)
    if address := hub_address(record.base):
        return _of_hub(address)
    name = Path(record.base).name  # the last part of a path names no user
    return {"name": name, "licence": None, "link": None, "sha256": record.hashes.base}


def _base(place: Located) -> LineageBase:
    if place.hub is not None:
        return _of_hub(place.hub.address)
    folder = Path(place.folder)
    if folder.name in EMBEDDED and (place.kind == "embedded" or (folder / ORIGIN_FILE).is_file()):
        return _registered(folder.name, place_hash(place))
    return {"name": folder.name, "licence": None, "link": None, "sha256": place_hash(place)}


def _registered(name: str, sha256: str) -> LineageBase:
    model = embedded(name)
    return {"name": name, "licence": model.license, "link": model.origin, "sha256": sha256}


def _of_hub(address: Address) -> LineageBase:
    at = f"/tree/{quote(address.revision)}" if address.revision else ""
    link = {
        "hf": f"https://huggingface.co/{address.repo}{at}",
        "ms": f"https://www.modelscope.cn/models/{address.repo}",
    }
    name = address.repo if address.hub == "hf" else f"ms://{address.repo}"
    return {"name": name, "licence": None, "link": link[address.hub], "sha256": None}


def _read(path: Path) -> Lineage:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        base: LineageBase = dict(found["base"])  # type: ignore[assignment]  # as an older version wrote it
        return Lineage(base, list(found["stages"]), list(found["steps"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is damaged; make the model again") from error
