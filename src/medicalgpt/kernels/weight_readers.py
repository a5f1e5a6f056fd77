"""Weights that more than the forward of their own layer reads, so that they must keep the form in which they came."""

import inspect
from collections import Counter
from collections.abc import Iterator
from types import CodeType

from torch import nn

from medicalgpt.kernels.patched import Network


def shared_weights(model: Network) -> set[int]:
    """The ids of weights that belong to several modules, or that the code of the module around a layer reads by itself, as the
    router of LongCat-Flash does with those of its classifier. What adapters do with the layer in them is not looked at."""
    holders = Counter(id(own) for module in model.modules() for own in module.parameters(recurse=False))
    names = {kind: _names(kind) for kind in {type(module) for module in model.modules()}}
    read = {
        id(getattr(layer, "weight", None))
        for module in model.modules()
        if not hasattr(module, "base_layer")
        for name, layer in module.named_children()
        if any({name, "weight"} <= looked_up for looked_up in names[type(module)])  # which may be the layer's
    }
    return read | {weight for weight, count in holders.items() if count > 1}


def _names(module: type[nn.Module]) -> list[frozenset[str]]:
    """What the functions of a class and of those that it is made of look up, one by one."""
    own = [cls for cls in module.__mro__ if cls not in (nn.Module, object)]
    functions = [inspect.unwrap(found) for cls in own for found in vars(cls).values() if callable(found)]
    codes = [getattr(function, "__code__", None) for function in functions]
    return [frozenset(part.co_names) for code in codes if isinstance(code, CodeType) for part in _with_inner(code)]


def _with_inner(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _with_inner(constant)
