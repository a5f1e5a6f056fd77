"""The number type that weight files hold. Weights that are loaded in it stay mapped: nothing is read until somebody looks."""

from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open

from medicalgpt.models.hub import fetch_file, list_files
from medicalgpt.models.locate import Located

_FLOATS: Final = {"F64": torch.float64, "F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
_SHORTER: Final = {torch.float32: (torch.bfloat16, torch.float16), torch.float64: tuple(_FLOATS.values())}


def shorter_type(found: Located, wanted: torch.dtype) -> torch.dtype | None:
    """The type of all weights of a base model, where each of its values is one of `wanted` too; else None.

    A process that keeps only its part of the weights loads them so and widens what it keeps: it never holds them whole.
    """
    types = {_type_of(file) for file in _files(found)}
    stored = types.pop() if len(types) == 1 else None
    return stored if stored in _SHORTER.get(wanted, ()) else None


def _files(found: Located) -> list[Path]:
    if found.kind != "hub":
        return sorted(Path(found.path_or_id).glob("*.safetensors"))
    names, folder = list_files(found.path_or_id, found.revision)
    mine = sorted(name for name in names if name.endswith(".safetensors"))
    return [folder / n if folder else fetch_file(found.path_or_id, n, found.revision) for n in mine]


def _type_of(file: Path) -> torch.dtype | None:
    """That of all tensors with fractions in a file; None: they differ, or one is packed."""
    try:
        with safe_open(file, "pt") as opened:
            found = {_FLOATS.get(opened.get_slice(name).get_dtype()) for name in opened.keys()}  # noqa: SIM118  # no mapping: it cannot be iterated
    except SafetensorError:
        return None  # said with the fault's name by who loads it
    return found.pop() if len(found) == 1 else None
