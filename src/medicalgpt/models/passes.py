"""How forward passes of a model are run: each by itself or, where processes hold parts of its weights, by all of them together."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn

from medicalgpt.models.shard import Sharding, free
from medicalgpt.rendering.batch import TreeBatch, pack_trees, pad_trees

T = TypeVar("T")


class Root(nn.Module):
    """The module of a model's weights whose forward pass brings them together; `parts` are what reads them.

    Several roles may be parts: they live on one base, and each of its weights can belong to one root only.
    """

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def within(self, work: Callable[[], T]) -> T:
        """Do `work` as a forward pass: what it reads of the weights is there inside."""
        return work()


@dataclass(frozen=True)
class Passes:
    """Forward passes of one model. `root` is None where this process holds all of it."""

    root: Root | None = None

    @classmethod
    def divided(
        cls,
        sharding: Sharding,
        model: nn.Module,
        *parts: nn.Module,
        keep: bool = False,
        widen: torch.dtype | None = None,
    ) -> "Passes":
        """Leave this process its part of `model`, which `parts` read.

        Args:
            keep: what lies above and below the layers stays gathered until `free`, once a pass has gathered it.
            widen: as in `Sharding.divide`.
        """
        root = Root(*parts)
        sharding.divide(root, model, "within", keep=keep, widen=widen)
        return cls(root)

    def run(self, work: Callable[[], T]) -> T:
        """One forward pass; what it gives for a backward pass must not be a view: FSDP cannot tell what becomes of one."""
        return work() if self.root is None else self.root.within(work)

    def trial(self, forward: Callable[[], torch.Tensor]) -> torch.Tensor:
        """A forward pass of a probe, of which a backward pass may follow."""
        return forward() if self.root is None else self.root.within(lambda: forward().clone())

    def even(
        self, found: Iterable[TreeBatch], batching: str, device: torch.device, filler: int = 0, least: int = 0
    ) -> Iterator[TreeBatch]:
        """The batches of a phase, then empty ones, until every process has as many, and at least `least`.

        Args:
            batching: "tree" or "padded", as the batches are.
        """
        count = 0
        if self.root is not None:
            found = list(found)
            least = max(least, _most(len(found), device))
        for batch in found:
            count += 1
            yield batch
        nothing = pack_trees if batching == "tree" else pad_trees
        for _ in range(least - count):
            yield nothing([], (), filler).to(device)

    def free(self) -> None:
        """Give up what is gathered; after passes that no backward pass followed."""
        if self.root is not None:
            free(self.root)


def _most(count: int, device: torch.device) -> int:
    """The largest `count` of all processes."""
    table = torch.tensor([count], device=device)
    dist.all_reduce(table, op=dist.ReduceOp.MAX)
    return int(table)


ALONE = Passes()
