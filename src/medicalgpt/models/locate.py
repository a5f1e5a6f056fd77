"""From what a user calls a model (embedded name, folder, run folder, a hub's address) to a place that is safe to load from."""

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from medicalgpt.errors import DataError, ModelError
from medicalgpt.hub.address import MODEL_SPELLINGS, Address, is_commit, parse_model
from medicalgpt.models.complete import check_complete
from medicalgpt.models.embedded.pull import pull
from medicalgpt.models.embedded.registry import EMBEDDED
from medicalgpt.models.families import FAMILIES, family_of, identify
from medicalgpt.models.hub import HubModel

LocatedKind = Literal["embedded", "model", "adapter"]

_HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(?:@([^/#@\s]{1,255}))?", re.ASCII)
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_CONFIG_LIMIT = 16 << 20  # bytes
_LAYERS, _WIDTH = 10_000, 10_000_000
# What every model of transformers that has such a key means by it.
_SIZES = {
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers"), _LAYERS),
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "vocab_size", "num_attention_heads", "n_head"), _WIDTH),
}
_UNFINISHED = ("config.resolved.yaml", "metrics.jsonl", "checkpoints")


@dataclass(frozen=True)
class Located:
    """Where a model is.

    A finished run gives the folder of its model, so the kinds "model" and "adapter" say what to load whoever made it. A
    hub's model is a folder of a cache, to which `complete` adds the weights; `hub` says whose it is.
    """

    folder: str
    kind: LocatedKind
    hub: HubModel | None = None

    @property
    def name(self) -> str:
        """What it is called where it is written down, and by which it is found again: owner/name of a hub, else its folder."""
        if self.hub is None:
            return self.folder
        at = self.hub.address
        return at.repo if at.hub == "hf" else f"{at.hub}://{at.repo}"

    @property
    def address(self) -> str:
        """What gives exactly this one when it is located again: of a hub's model the address with its commit."""
        return str(self.hub.address) if self.hub is not None else self.folder

    def complete(self) -> str:
        """Its folder with the weights in it. Raises ModelError: they cannot be fetched, or are damaged."""
        if self.hub is not None:
            self.hub.fetch_weights(Path(self.folder))
        return self.folder

    @property
    def is_adapter(self) -> bool:
        """Whether it is an adapter, which needs the base that it names."""
        return self.kind == "adapter"


def locate(name_or_path: str, revision: str | None = None, trust_remote_code: bool = False) -> Located:
    """Find a model by embedded name, local folder, run folder or a hub's address, in this order, and check that it is safe.

    An embedded model without license terms to accept is pulled on first use. A local folder that bears the name of an
    embedded model is reached as ./name. Of a hub's model all is fetched but the weights (an adapter with its weights).

    Args:
        revision: branch, tag or commit of a hub's model; a commit goes before what stands behind @.

    Raises:
        ModelError: nothing is there (with near misses), a run is unfinished, the weights are pickles, or the folder
            wants its own Python code run and `trust_remote_code` is off.
    """
    if name_or_path in EMBEDDED:
        return Located(str(pull(EMBEDDED[name_or_path])), "embedded")
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return _local(path, trust_remote_code)
    if path.suffix.lower() == ".gguf":
        raise ModelError(
            f"{name_or_path} is a GGUF file, which only answers (medicalgpt chat, generate, demo, serve); for anything else "
            "give the model folder it was made from"
        )
    if path.is_file():
        raise ModelError(f"{name_or_path} is a file; give the folder that holds config.json and *.safetensors")
    if address := hub_address(name_or_path, revision):
        return _hub(address, name_or_path, trust_remote_code)
    raise ModelError(
        f"no model {name_or_path!r}{_did_you_mean(name_or_path)}. Allowed: an embedded model ({', '.join(EMBEDDED)}), "
        f"a model, adapter or finished run folder, or a model of a hub ({MODEL_SPELLINGS})"
    )


def hub_address(name: str, revision: str | None = None) -> Address | None:
    """The repository that a model's name means, with its revision; None for embedded models and what lies on this machine.

    Raises:
        ModelError: an address that is none, or two revisions.
    """
    if name in EMBEDDED or Path(name).expanduser().exists():
        return None
    try:
        found = parse_model(name)
    except DataError as error:
        raise ModelError(str(error)) from None
    if found is None:
        bare = _HUB_ID.fullmatch(name)
        found = Address("hf", bare[1], bare[2], kind="model") if bare else None
    if found is None or revision is None:
        return found
    if found.revision not in (None, revision) and not is_commit(revision):
        raise ModelError(f"{name} with revision {revision}: two revisions; leave one out")
    return replace(found, revision=revision)


def _check_weights(where: str, names: Iterable[str], adapter: bool) -> None:
    """Refuse a list of file names without safetensors weights; raises ModelError with what to do."""
    names = list(names)
    wanted = "adapter_model.safetensors" if adapter else "*.safetensors"
    if any(n == wanted if adapter else n.endswith(".safetensors") for n in names):
        return
    pickles = [n for n in names if n.endswith(_PICKLES)]
    if pickles:
        raise ModelError(
            f"{where} holds its weights only as {', '.join(sorted(pickles)[:3])}: pickle files can run code when "
            "they are loaded. Allowed is safetensors: load it once where you trust it and save_pretrained() it again, "
            "or choose a revision that has *.safetensors"
        )
    raise ModelError(f"{where} has no {wanted}; found: {', '.join(sorted(names)[:6]) or 'nothing'}")


def _check_remote_code(where: str, config: dict[str, object], trust_remote_code: bool) -> None:
    """Refuse a config that needs Python code of its own (`auto_map`) unless the user trusts it; raises ModelError.

    Many models carry such code and need none, as transformers has a port of it, which is what runs then.
    """
    if not config.get("auto_map") or trust_remote_code:
        return
    architecture = identify(config)
    if not architecture.remote_code:
        return
    family = FAMILIES[family_of(architecture)]
    other = f" Of this family, {family.instead} need none." if family.instead else ""
    raise ModelError(
        f"{where} ships Python code of its own (auto_map in config.json), which is off, and transformers has no port of "
        f"model_type {config.get('model_type')!r}. Read that code first; to run it set model.trust_remote_code=true, or "
        f"--trust-remote-code on the command line (--trust_remote_code of the scripts).{other}"
    )


def _local(path: Path, trust_remote_code: bool) -> Located:
    names = sorted(p.name for p in path.iterdir())
    if "manifest.json" in names:
        if not (path / "model").is_dir():
            raise ModelError(f"{path} is a run folder, but its model/ is gone; run the stage again or choose another")
        return _local(path / "model", trust_remote_code)
    if "adapter_config.json" in names:
        _check_weights(str(path), names, adapter=True)
        check_complete(path, names)
        return Located(str(path), "adapter")
    if "config.json" not in names:
        if any(n in names for n in _UNFINISHED):
            raise ModelError(
                f"{path} is an unfinished run (no manifest.json). Run the same train command again: it goes on from "
                "the last checkpoint"
            )
        found = ", ".join(names[:6]) or "nothing"
        raise ModelError(f"{path} is not a model: it needs config.json or adapter_config.json; found: {found}")
    _check_remote_code(str(path), read_config(path / "config.json"), trust_remote_code)
    _check_weights(str(path), names, adapter=False)
    check_complete(path, names)
    return Located(str(path), "model")


def read_config(path: Path) -> dict[str, object]:
    """The JSON object in a model's config.json or adapter_config.json.

    Raises:
        ModelError: it is not one, or a size in it is none that a model can have.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_CONFIG_LIMIT + 1)
        if len(data) > _CONFIG_LIMIT:
            raise ModelError(
                f"{path} has more than {_CONFIG_LIMIT:,} bytes: it is no model's config; copy the model again"
            )
        config = json.loads(data.decode("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not readable JSON: {error}; copy the model again") from error
    except RecursionError:
        raise ModelError(f"{path} is not usable JSON: it is nested too deep; copy the model again") from None
    if not isinstance(config, dict):
        raise ModelError(f"{path} must hold a JSON object, found {type(config).__name__}; copy the model again")
    for part in (config, config.get("text_config")):
        _check_sizes(path, part if isinstance(part, dict) else {})
    return config


def _check_sizes(path: Path, config: dict[str, object]) -> None:
    """Building a model with a billion layers would only end when memory does."""
    for name, most in _SIZES.items():
        value = config.get(name)
        if value is not None and (type(value) is not int or not 0 < value <= most):
            shown = value if isinstance(value, int | float) else type(value).__name__
            raise ModelError(
                f"{path}: {name} is {shown}; allowed: a whole number from 1 to {most:,}; copy the model again"
            )


def config_of(found: Located) -> dict[str, object]:
    """The config.json of a base model that was located; {} for a folder without one."""
    path = Path(found.folder) / "config.json"
    return read_config(path) if path.is_file() else {}


def hub_model(address: Address, given: str) -> HubModel:
    """The repository that was given by this name, at the commit that it is now. Raises ModelError as `HubModel.find`."""
    try:
        return HubModel.find(address)
    except ModelError as error:
        # "runs/sft" looks like a Hub id; when it is a mistyped folder, say so.
        if "://" in given:
            raise
        raise ModelError(f"{error}; nor is there a folder '{given}' here{_did_you_mean(given)}") from error


def _hub(address: Address, given: str, trust_remote_code: bool) -> Located:
    model = hub_model(address, given)
    where, names = str(model.address), model.names
    if "adapter_config.json" in names:
        _check_weights(where, names, adapter=True)
        found = Located(str(model.folder()), "adapter", model)
        found.complete()
        return found
    if "config.json" not in names:
        raise ModelError(f"{where} has neither config.json nor adapter_config.json: it is not a model")
    _check_weights(where, names, adapter=False)
    folder = model.folder()
    _check_remote_code(where, read_config(folder / "config.json"), trust_remote_code)
    return Located(str(model.folder(trust_remote_code=True) if trust_remote_code else folder), "model", model)


def _did_you_mean(given: str) -> str:
    """Embedded names and folders beside a missing path that are nearly what was given, in brackets for a message."""
    near = difflib.get_close_matches(given.lower(), EMBEDDED, n=2)
    path = Path(given).expanduser()
    if path.parent.is_dir():
        beside = [p.name for p in path.parent.iterdir() if p.is_dir() and not p.name.startswith(".")]
        near += [str(path.parent / name) for name in difflib.get_close_matches(path.name, beside, n=3)]
    return f" (did you mean {' or '.join(near)}?)" if near else ""
