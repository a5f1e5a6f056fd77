"""A saved model is read again before anything says that it is there: every tensor of the one in memory, byte for byte.

Writers have left out or emptied tensors without a word (shards that lay elsewhere, ties, renames, a file system that lost
blocks), and a hash of the files only says that they stay as they are.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from medicalgpt.errors import ModelError
from medicalgpt.kernels.bits import bits, digest
from medicalgpt.models.adapters import is_adapted, peft_model
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.complete import check_complete

Tensors = Mapping[str, torch.Tensor]
_NAMED = 4  # tensors that a message names


def check_saved(folder: Path, model: nn.Module) -> None:
    """Compare the safetensors files in `folder` with the weights, or the active adapter, of `model`.

    Tensors that share their memory need to be there once. Some families are saved under the names, and in the parts, of
    their published weights: what has no counterpart of its name must be there under another one.

    Raises:
        ModelError: a tensor is missing, empty, or of another shape, type or content; the first ones are named.
    """
    check_complete(folder, [path.name for path in folder.iterdir()])
    expected = dict(_adapter(model) if is_adapted(model) else _whole(model))
    with ExitStack() as stack:
        try:
            saved = _Saved(stack, folder)
            faults = _faults(saved, expected, parts=not is_adapted(model))
        except SafetensorError as error:
            raise _refused(f"a file cannot be read: {error}") from error
    if faults:
        said = (f"{what}: {', '.join(names[:_NAMED])}{_more(names)}" for what, names in faults.items())
        raise _refused("; ".join(said))


class _Saved:
    """All tensors in a folder's files, each mapped from the disk when it is asked for."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._files: dict[str, Any] = {}
        for path in sorted(folder.glob("*.safetensors")):
            file = stack.enter_context(safe_open(path, "pt"))
            self._files |= dict.fromkeys(file.keys(), file)

    def __getitem__(self, name: str) -> torch.Tensor:
        tensor: torch.Tensor = self._files[name].get_tensor(name)
        return tensor

    def shape(self, name: str) -> list[int]:
        """Of the file's header alone."""
        shape: list[int] = self._files[name].get_slice(name).get_shape()
        return shape

    @property
    def names(self) -> set[str]:
        return set(self._files)


def _faults(saved: _Saved, expected: Tensors, parts: bool) -> dict[str, list[str]]:
    """Names of tensors by what is wrong with them."""
    empty = [name for name in sorted(saved.names) if 0 in saved.shape(name)]
    empty += [name for name, tensor in expected.items() if tensor.is_meta and name not in empty]
    found: dict[str, list[str]] = {"empty": empty, "of another shape or type": [], "of another content": []}
    here = {name: tensor for name, tensor in expected.items() if name in saved.names}
    for name, tensor in here.items():
        if name not in empty and (fault := _fault(saved[name], tensor)):
            found[fault].append(name)
    places = {_place(tensor) for tensor in here.values()}
    lost = {n: t for n, t in expected.items() if n not in here and n not in empty and _place(t) not in places}
    found["missing"] = _without_counterpart(saved, sorted(saved.names - expected.keys()), lost, parts)
    return {what: names for what, names in found.items() if names}


def _fault(there: torch.Tensor, here: torch.Tensor) -> str | None:
    if there.shape != here.shape or there.dtype != here.dtype:
        return "of another shape or type"
    return None if _equal(there, here) else "of another content"


def _without_counterpart(saved: _Saved, others: list[str], lost: Tensors, parts: bool) -> list[str]:
    """Tensors that are not among those of other names, neither as they are nor, where `parts`, in other parts."""
    free, places = list(others), set()
    for tensor in lost.values():
        twin = next((o for o in free if saved.shape(o) == list(tensor.shape) and _equal(saved[o], tensor)), None)
        if twin is not None:
            free.remove(twin)
            places.add(_place(tensor))
    missing = [name for name, tensor in lost.items() if _place(tensor) not in places]
    if not parts:
        return missing
    # Split, joined or transposed tensors hold the same numbers: as many of them, with the same sum of bits.
    count, total = Counter[torch.dtype](), Counter[torch.dtype]()
    for sign, tensors in ((1, (lost[name] for name in missing)), (-1, map(saved.__getitem__, free))):
        for tensor in tensors:
            count[tensor.dtype] += sign * tensor.numel()
            total[tensor.dtype] += sign * digest(tensor)
    return missing if any(count.values()) or any(total.values()) else []


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equal in shape, type and every byte: NaN is as good as any other number here."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return torch.equal(bits(a).cpu(), bits(b).cpu())


def _place(tensor: torch.Tensor) -> tuple[str, int, torch.Size]:
    return str(tensor.device), tensor.data_ptr(), tensor.shape


def _whole(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """What a model's state consists of; quantized layers also keep scales and, as bytes, facts about themselves."""
    for name, value in unwrap(model).state_dict().items():
        if isinstance(value, torch.Tensor) and (value.is_meta or value.numel()):
            yield name, value


def _adapter(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """The parameters of the active adapter under the names that peft saves them by: without the adapter's own."""
    peft = peft_model(model)
    adapter = str(peft.active_adapter)
    for name, value in peft.named_parameters():
        parts = name.split(".")
        if adapter in parts:
            yield ".".join(part for part in parts if part not in (adapter, "modules_to_save")), value


def _more(names: list[str]) -> str:
    return f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""


def _refused(what: str) -> ModelError:
    return ModelError(
        f"the model was saved, but what was read back is not the model in memory ({what}), so it is not kept. Look after disk "
        "and memory and run the same command again: a training run goes on from its last checkpoint"
    )
