"""Another forward for one module of one model, and the way back.

Nothing here touches a class or a module of Python: other models of the same family run as transformers wrote them.
"""

import types
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from torch import nn

_MARK = "forward_before_fusing"


class Network(Protocol):
    """A tree of modules, as `nn.Module` is one."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """All of them."""
        ...

    def modules(self) -> Iterator[nn.Module]:
        """Itself and all below it."""
        ...


def replace_forward(module: Any, forward: Callable[..., Any]) -> None:
    """Let `module` run `forward(module, …)`; `plain_forward` on it is what ran before."""
    setattr(module, _MARK, vars(module).get("forward"))  # set by somebody else on this module, or None: the class's own
    module.plain_forward = module.forward
    module.forward = types.MethodType(forward, module)


def is_replaced(module: nn.Module) -> bool:
    """Whether `replace_forward` was here."""
    return _MARK in vars(module)


def restore_forward(module: Any) -> None:
    """Undo `replace_forward`; the module's attributes are then those it had before."""
    before = vars(module).pop(_MARK)
    for name in ("forward", "plain_forward"):
        delattr(module, name)
    if before is not None:
        module.forward = before
