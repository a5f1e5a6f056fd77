"""AdamW with moments in 8 bits (arXiv 2110.02861) of bitsandbytes: a byte for each, and a scale for 256 of them."""

from collections.abc import Iterable
from importlib.metadata import version
from importlib.util import find_spec
from typing import Final, Protocol

import torch
from torch.optim import Optimizer

from medicalgpt.errors import ConfigError
from medicalgpt.kernels.joined import Joined

LEAST: Final = 4096
"""Elements of the smallest weight whose moments get 8 bits; smaller ones would save nothing."""

_ON_CPU: Final = (0, 50)  # the first release whose steps run there
_MOMENTS: Final = ("state1", "state2")


class _Moments(Protocol):
    """Of bitsandbytes."""

    def get_state_buffer(self, p: torch.Tensor, dtype: torch.dtype) -> torch.Tensor: ...


class EightBit(Joined):
    """8-bit AdamW for some weights, plain AdamW for the rest."""

    def __init__(self, moments: Optimizer, plain: Optimizer, buffers: _Moments) -> None:
        self.buffers = buffers
        super().__init__([moments, plain])

    def place(self, name: str, value: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Moments go where bitsandbytes keeps them: in pages, where it is asked to."""
        if name not in _MOMENTS:
            return super().place(name, value, weight)
        return self.buffers.get_state_buffer(weight, dtype=value.dtype).copy_(value)


def require_bitsandbytes(on_cpu: bool) -> None:
    """Raises ConfigError where bitsandbytes is not installed, or one that takes these steps on GPUs alone."""
    if find_spec("bitsandbytes") is None:
        raise ConfigError(
            "train.optimizer: AdamW in 8 bits needs bitsandbytes; install it with: pip install 'medicalgpt[quant]'"
        )
    found = version("bitsandbytes")
    if on_cpu and tuple(int(part) for part in found.split(".")[:2]) < _ON_CPU:
        raise ConfigError(
            f"train.optimizer: bitsandbytes {found} takes steps in 8 bits on GPUs only; for the CPU: pip install 'bitsandbytes>=0.50'"
        )


def eight_bit(
    groups: Iterable[dict[str, object]], plain: Optimizer, betas: tuple[float, float], eps: float, paged: bool
) -> EightBit:
    """The optimizer of `groups` in 8 bits, joined with that of the rest.

    Args:
        paged: moments lie in memory that moves to main memory where a GPU is full.
    """
    from bitsandbytes.optim.adamw import AdamW8bit, PagedAdamW8bit  # lazy: heavy, and not on every machine

    kind = PagedAdamW8bit if paged else AdamW8bit
    moments = kind(list(groups), betas=betas, eps=eps, min_8bit_size=LEAST)
    return EightBit(moments, plain, moments)
