"""What an adapter says of itself before anything is loaded: its adapter_config.json, and the base that it stands on."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from medicalgpt.errors import ModelError
from medicalgpt.hub.address import is_commit
from medicalgpt.models.embedded.registry import EMBEDDED
from medicalgpt.models.locate import Located, hub_address, locate, read_config

FILE = "adapter_config.json"
BESIDE = "base.json"  # written by us alone: other programs take adapter_config.json amiss with keys they do not know

Pins = Callable[[str], str | None]
"""The commit at which a base of a hub is read, by the address that an adapter names; None for the head of its branch."""

_NONE: Final[dict[str, str]] = {}
NO_PINS: Final[Pins] = _NONE.get


def read_adapter(found: Located) -> dict[str, object]:
    """An adapter's adapter_config.json.

    Raises:
        ModelError: it cannot be read, or names no base model.
    """
    config = read_config(Path(found.folder) / FILE)
    base = config.get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise ModelError(
            f"{found.name}: {FILE} names no base model (base_model_name_or_path); set model.base and model.adapter, or "
            "give the base model instead"
        )
    return config


def base_name(adapter: Located) -> str:
    """Where an adapter's base is: an embedded model, a hub's address with the commit that was trained on, where it is known,
    or a folder that is found from any working directory.

    Raises:
        ModelError: as `read_adapter`, or two folders may be meant.
    """
    config = read_adapter(adapter)
    name, revision = str(config["base_model_name_or_path"]), config.get("revision")
    found = _resolve(name, Path(adapter.folder)) if adapter.hub is None else name
    address = hub_address(found) if isinstance(revision, str) and found == name else None
    return found if address is None else str(replace(address, revision=address.revision or str(revision)))


def pinned_base(adapter: Located, pins: Pins = NO_PINS) -> str:
    """As `base_name`, with the commit of `pins` where the adapter's own config says none. Raises ModelError as that."""
    name = base_name(adapter)
    address = hub_address(name)
    if address is None or is_commit(address.revision):
        return name
    commit = pins(str(address))
    return name if commit is None else str(replace(address, revision=commit))


def write_base(folder: Path, base: Located) -> None:
    """Say in an adapter's folder where its base lies: by its full path, which any program finds, and seen from here; of a
    hub's by name and commit, as peft does.

    What is seen from here holds where both have moved together; it is left out where they share no folder but the
    home folder or the root.
    """
    file, place = folder / FILE, os.path.abspath(Path(base.folder).expanduser())
    if base.hub is not None:
        said = {"base_model_name_or_path": base.name, "revision": base.hub.address.revision}
        file.write_text(
            json.dumps(json.loads(file.read_text(encoding="utf-8")) | said, indent=2, sort_keys=True), "utf-8"
        )
        return
    config = json.loads(file.read_text(encoding="utf-8")) | {"base_model_name_or_path": place}
    file.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
    seen = _seen_from(Path(os.path.realpath(folder)), Path(os.path.realpath(place)))
    if seen is not None:
        (folder / BESIDE).write_text(json.dumps({"base": seen}) + "\n", encoding="utf-8")


def _seen_from(folder: Path, place: Path) -> str | None:
    try:
        shared = Path(os.path.commonpath([folder, place]))
        home = Path(os.path.realpath(Path.home()))
    except (ValueError, RuntimeError):  # two drives on Windows; an account without a home folder
        return None
    return None if shared == home or shared in (*home.parents, Path(shared.anchor)) else _relative(place, folder)


def _relative(place: Path, folder: Path) -> str:
    return Path(os.path.relpath(place, folder)).as_posix()


def _resolve(name: str, folder: Path) -> str:
    """A base's name as it stands in `folder`; where nothing is there, the name itself."""
    here = Path(os.path.realpath(folder))
    if (beside := _beside(folder)) and (here / beside).is_dir():
        return os.path.normpath(here / beside)
    path = Path(name).expanduser()
    if path.is_absolute() and not path.exists() and path.parent.name == "models" and path.name in EMBEDDED:
        return path.name  # an embedded model in the cache of another machine or user
    if path.is_absolute() or name in EMBEDDED:
        return name
    # Earlier versions wrote the name as it was given: seen from where training was started, mostly a folder above.
    places = {os.path.realpath(p): p for p in (Path(path), *(above / path for above in here.parents)) if p.is_dir()}
    if len(places) > 1:
        raise ModelError(
            f"{folder} names its base {name!r} without saying from where, and there are {' and '.join(map(str, places))}; set "
            "model.base to the right one and model.adapter to this adapter"
        )
    return next((str(p) for p in places.values()), name)


def _beside(folder: Path) -> str | None:
    """Where the base lies, seen from the adapter's folder; None where that is not said."""
    file = folder / BESIDE
    named = read_config(file).get("base") if file.is_file() else None
    return named if isinstance(named, str) and named else None


def down_to_base(
    found: Located, trust_remote_code: bool = False, pins: Pins = NO_PINS
) -> tuple[list[Located], Located]:
    """The adapters from a located model downward, the topmost first (none for a whole model), and the base below them.

    Args:
        pins: the commits of bases that are named without one, as `ModelConfig.below` has them.

    Raises:
        ModelError: an adapter names no base or itself, or its base is not there.
    """
    adapters: list[Located] = []
    while found.is_adapter:
        if found in adapters:
            raise ModelError(f"{found.name} names itself as its base; correct its {FILE}")
        adapters.append(found)
        found = locate(pinned_base(found, pins), None, trust_remote_code)
    return adapters, found
