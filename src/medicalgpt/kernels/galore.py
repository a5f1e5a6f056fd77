"""GaLore (arXiv 2403.03507) of `pytorch-optimizer`: AdamW on gradients of matrices, projected to a few of their directions.

The library holds each projection in an object of its own. Here the projection is a tensor of the state, so that a checkpoint holds it
and unpickles nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any, Final

import torch
from torch.optim import Optimizer

from medicalgpt.errors import ConfigError

PROJECTION: Final = "projection"
"""Of a weight [M, N] with M ≥ N: [rank, N]; with M < N: [M, rank]. In the weight's number type."""
_OBJECT: Final = "projector"  # what the library calls its own


def require_galore() -> None:
    """Raises ConfigError where pytorch-optimizer is not installed."""
    if find_spec("pytorch_optimizer") is None:
        raise ConfigError(
            "train.optimizer=galore needs pytorch-optimizer; install it with: pip install 'medicalgpt[galore]'"
        )


def galore(
    groups: list[dict[str, object]],
    betas: tuple[float, float],
    eps: float,
    rank: int,
    interval: int,
    scale: float,
) -> Optimizer:
    """The optimizer of `groups` of matrices, all of which are `config.optimizers.projected`.

    Args:
        interval: steps between two projections, each by a singular value decomposition of that step's gradient.
        scale: what a step is multiplied by when it is back in the matrix's own shape.
    """
    how = {"rank": rank, "update_proj_gap": interval, "scale": scale, "projection_type": "std"}
    made: Optimizer = _kind()([group | how for group in groups], betas=betas, eps=eps)
    return made


@cache
def _kind() -> Any:  # a subclass of what is imported only where it is used
    from pytorch_optimizer.optimizer.galore import GaLore
    from pytorch_optimizer.optimizer.utils.galore import GaLoreProjector

    class TensorGaLore(GaLore):
        """The library's, with projections as tensors between two steps."""

        @torch.no_grad()
        def step(self, closure: Any = None) -> Any:
            """See `torch.optim.Optimizer`."""
            with self._objects():
                return super().step(closure)

        @contextmanager
        def _objects(self) -> Iterator[None]:
            held = [
                (group, self.state[p]) for group in self.param_groups for p in group["params"] if p.grad is not None
            ]
            for group, state in held:
                state[_OBJECT] = made = GaLoreProjector(
                    group["rank"], group["update_proj_gap"], group["scale"], group["projection_type"]
                )
                made.ortho_matrix = state.get(PROJECTION)
            try:
                yield
            finally:
                for _, state in held:
                    state[PROJECTION] = state.pop(_OBJECT).ortho_matrix

    return TensorGaLore
