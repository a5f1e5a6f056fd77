"""A model of a hub, whole on this disk, and as a plain folder that can be carried to a machine without a network."""

import shutil
from pathlib import Path

from medicalgpt.disk.scratch import scratch
from medicalgpt.errors import ModelError
from medicalgpt.hub.address import Address
from medicalgpt.models.locate import Located, locate


def fetch(name: str, address: Address, trust_remote_code: bool = False) -> Located:
    """The model with its weights, in the cache.

    Args:
        name: as it was given, for messages.
        address: what `hub_address` made of it.

    Raises:
        ModelError: as `locate`, or its weights cannot be fetched.
    """
    found = locate(name, address.revision, trust_remote_code)
    found.complete()
    return found


def is_here(name: str) -> bool:
    """Whether a model is whole on this disk, where no hub is asked (HF_HUB_OFFLINE)."""
    try:
        locate(name).complete()
    except ModelError:
        return False
    return True


def copy_to(found: Located, target: Path, trust_remote_code: bool = False) -> Path:
    """The files of a fetched model in a new folder, without the links that a cache has in their place.

    Raises:
        ModelError: the folder is there already, or the disk failed.
    """
    target = target.expanduser()
    if target.exists():
        raise ModelError(f"{target} exists already; name another --to or remove it")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch(target.parent, ".copy-") as work:
            for name in found.hub.members(Path(found.folder), trust_remote_code) if found.hub else ():
                (place := work / "model" / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(Path(found.folder) / name, place)
            (work / "model").replace(target)
    except (OSError, shutil.Error) as error:
        raise ModelError(
            f"{found.address} cannot be copied to {target}: {error}; free some space, or name another --to"
        ) from None
    return target
