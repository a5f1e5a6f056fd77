"""Several processes under torchrun share one piece of work: each takes the next part when it is free, the first collects.

A part is what one process alone would do in one go, so the results are those of one process, whoever made them. They reach
the first process in the order of the parts; when a process dies, what the first has collected is complete up to a part.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from medicalgpt.errors import MedicalGPTError

if TYPE_CHECKING:  # torch is imported where there are several processes only
    from torch.distributed.distributed_c10d import Store

T = TypeVar("T")
Rows = list[dict[str, object]]

PATIENCE = timedelta(hours=12)  # the longest that one process may be behind the others, in loading for example
_POLL = 0.02  # seconds


@dataclass(frozen=True)
class Workers:
    """The processes of a job, seen from the one numbered `rank` of `size`; `store` is what they talk through."""

    rank: int = 0
    size: int = 1
    store: "Store | None" = field(default=None, repr=False)

    @property
    def _store(self) -> "Store":
        assert self.store is not None  # one process alone never asks
        return self.store

    @property
    def first(self) -> bool:
        """Whether this is the process that reads, writes and speaks for all."""
        return self.rank == 0

    def all_do(self, work: Callable[[], T]) -> T:
        """Every process does `work`; if one fails, all end, and the first of those that failed says why.

        Raises:
            MedicalGPTError: what `work` raised here.
            SystemExit: another process failed.
        """
        if self.size == 1:
            return work()
        import torch.distributed as dist

        problem: MedicalGPTError | None = None
        try:
            value = work()
        except MedicalGPTError as error:
            problem = error
        failed: list[bool] = [False] * self.size
        dist.all_gather_object(failed, problem is not None)
        if not any(failed):
            return value
        if problem is not None and failed.index(True) == self.rank:
            raise problem
        raise SystemExit(2)

    def first_does(self, work: Callable[[], T]) -> T:
        """The first process does `work`, and all get what it gives (a value that can be pickled). Raises as `all_do`."""
        if self.size == 1:
            return work()
        import torch.distributed as dist

        told = [self.all_do(work if self.first else lambda: None)]
        dist.broadcast_object_list(told, src=0)
        return told[0]  # type: ignore[return-value]  # None only before the first process's value has come

    def share(self, parts: Iterable[T], work: Callable[[T], Rows]) -> Iterator[Rows]:
        """Results of `work` on every part, in order, for the first process; nothing for the others, which must iterate, too.

        Args:
            parts: the same in every process.

        Raises:
            MedicalGPTError: what `work` raised here.
            SystemExit: another process failed.
        """
        if self.size == 1:
            yield from map(work, parts)
            return
        try:
            yield from self._share(parts, work)
        except MedicalGPTError:
            self._store.set("failed", str(self.rank))
            raise

    def _share(self, parts: Iterable[T], work: Callable[[T], Rows]) -> Iterator[Rows]:
        mine, there, given = self._take(), 0, 0
        for number, part in enumerate(parts):
            there = number + 1
            if number != mine:
                continue
            self._put(number, work(part))
            mine = self._take()
            while self.first and given < there and self._is_there(given):
                yield self._get(given)
                given += 1
        while self.first and given < there:
            if self._is_there(given):
                yield self._get(given)
                given += 1
            else:
                time.sleep(_POLL)

    def _take(self) -> int:
        """The number of the next part that nobody has taken."""
        if self._store.check(["failed"]):
            raise SystemExit(2)
        return int(self._store.add("taken", 1)) - 1

    def _put(self, number: int, rows: Rows) -> None:
        # A row at a time: the store takes a few MB at once. Its count comes last and says that all are there.
        for i, row in enumerate(rows):
            self._store.set(f"{number}/{i}", json.dumps(row))
        self._store.set(f"{number}", str(len(rows)))

    def _is_there(self, number: int) -> bool:
        if self._store.check(["failed"]):
            raise SystemExit(2)
        return bool(self._store.check([f"{number}"]))

    def _get(self, number: int) -> Rows:
        keys = [f"{number}/{i}" for i in range(int(self._store.get(f"{number}")))]
        rows = [json.loads(self._store.get(key)) for key in keys]
        for key in (*keys, f"{number}"):
            self._store.delete_key(key)
        return rows


ALONE = Workers()


def join() -> Workers:
    """Meet the other processes that torchrun started, over gloo; ALONE where there are none. Each takes a GPU of its own.

    `leave` once all is done.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ALONE
    import torch.distributed as dist
    from torch.distributed.distributed_c10d import PrefixStore

    from medicalgpt.kernels.device import take_device  # lazy: heavy

    take_device()
    store, rank, size = meet()
    dist.init_process_group("gloo", store=PrefixStore("group", store), rank=rank, world_size=size, timeout=PATIENCE)
    return Workers(rank, size, PrefixStore("parts", store))


def meet() -> "tuple[Store, int, int]":
    """What the processes that torchrun started talk through, and this one's number among how many.

    torchrun keeps its store when it starts the processes again (--max-restarts), with what the dead ones left in it; each
    attempt has a part of its own.
    """
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    found, rank, size = next(rendezvous("env://"))
    return PrefixStore(f"attempt-{_attempt()}", found), rank, size


def leave(workers: Workers) -> None:
    """Part in good order."""
    if workers.size > 1:
        import torch.distributed as dist

        dist.destroy_process_group()


def restarted() -> bool:
    """Whether torchrun has started these processes again after one of them died (--max-restarts)."""
    return _attempt() > 0


def _attempt() -> int:
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
