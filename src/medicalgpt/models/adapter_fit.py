"""Whether an adapter's matrices have the widths of a base's layers, by the heads of their files: nothing is loaded."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from safetensors import SafetensorError, safe_open

from medicalgpt.errors import ModelError
from medicalgpt.models.locate import Located

_PART: Final = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])\.weight")
_PLAIN: Final = ("F64", "F32", "BF16", "F16")
"""Number types whose tensors have the shape of the layer; quantized ones may be packed."""


def require_widths(base: Located, adapter: Located) -> None:
    """Refuse an adapter of a model with other widths.

    vLLM (0.30) puts the matrices of a narrower model on a part of each layer, and says nothing. Layers that the base's files
    have under another name, or packed, are not compared.

    Raises:
        ModelError: naming the first layer that differs; or weights of a hub cannot be fetched.
    """
    outer: dict[str, dict[str, int]] = {}
    for name, shape in _shapes(Path(adapter.complete())):
        if (part := _PART.fullmatch(name)) and len(shape) == 2:
            outer.setdefault(part[1], {})[part[2]] = shape[1] if part[2] == "A" else shape[0]
    for name, shape in _shapes(Path(base.complete())):
        found = outer.get(name.removesuffix(".weight"))
        # Layers of the kind of GPT-2's lie the other way round.
        if found and len(found) == len(shape) == 2 and sorted(found.values()) != sorted(shape):
            raise ModelError(
                f"{adapter.name} is no adapter of {base.name}, whose {name} is {shape[0]} × {shape[1]}; it is for {found['B']} × "
                f"{found['A']}. Give the base that it names, or another adapter"
            )


def _shapes(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Name and shape of every tensor in a folder that is not packed."""
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, "pt") as opened:
                for name in opened.keys():  # noqa: SIM118  # no mapping: it cannot be iterated
                    tensor = opened.get_slice(name)
                    if tensor.get_dtype() in _PLAIN:
                        yield name, tensor.get_shape()
        except SafetensorError:
            continue  # said with the fault's name by who loads it
