"""Which process keeps the others waiting? Each says now and then that it lives and how many batches it has begun.

In a step all wait for the slowest, and a process that was stopped or whose machine is gone is only missed when the group's
patience is at its end, half an hour later. A thread of the first process looks at what the others said and names the one that
is behind, or silent.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import torch.distributed as dist

from medicalgpt.training.launch import own_connection

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store


@dataclass
class Heartbeat:
    """Beats between `start` and `stop`; `batch` is called when a batch begins.

    Args:
        store: what the processes talk through; each uses a connection of its own.
        say: hears the first process's findings, a line for each.
        every: seconds between two beats.
        silent: seconds without a beat, or behind the first process, after which it is said.
    """

    store: "Store"
    rank: int
    size: int
    say: Callable[[str], object]
    every: float = 10.0
    silent: float = 60.0
    _begun: int = 0
    _seen: dict[int, tuple[str, float]] = field(default_factory=dict)
    _behind: dict[int, float] = field(default_factory=dict)
    _said: set[int] = field(default_factory=set)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @classmethod
    def listen(cls, say: Callable[[str], object]) -> "Heartbeat | None":
        """That of the processes of this run, begun; None where there is one only."""
        store = own_connection()
        if store is None:
            return None
        return cls(store, dist.get_rank(), dist.get_world_size(), say).start()

    def start(self) -> Self:
        """Begin to beat."""
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Beat no more."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(2 * self.every)

    def batch(self) -> None:
        """This process begins a batch."""
        self._begun += 1

    def _run(self) -> None:
        number = 0
        while not self._over.is_set():
            number += 1
            try:
                self._beat(number)
                if self.rank == 0:
                    for line in self.look(time.monotonic()):
                        self.say(line)
            except (RuntimeError, dist.DistError):  # the store is gone: the run is over, or its first process
                return
            self._over.wait(self.every)

    def _beat(self, number: int) -> None:
        self.store.set(f"beat/{self.rank}", f"{number} {self._begun} {os.getpid()} {socket.gethostname()}")

    def look(self, now: float) -> list[str]:
        """What is to be said of the others at `now`; of each once, until it has caught up."""
        return [line for rank in range(1, self.size) if (line := self._look_at(rank, now))]

    def _look_at(self, rank: int, now: float) -> str:
        key = f"beat/{rank}"
        said = self.store.get(key).decode() if self.store.check([key]) else ""
        before, since = self._seen.get(rank, ("", now))
        if said != before or rank not in self._seen:
            since = now
        self._seen[rank] = (said, since)
        _, begun, pid, host = said.split(" ", 3) if said else ("0", "0", "?", "?")
        if int(begun) >= self._begun:
            self._behind.pop(rank, None)
        late = now - self._behind.setdefault(rank, now) if int(begun) < self._begun else 0.0
        quiet = now - since
        if max(late, quiet) < self.silent:
            self._said.discard(rank)
            return ""
        if rank in self._said:
            return ""
        self._said.add(rank)
        who = f"process {rank} ({host}, pid {pid})" if said else f"process {rank}"
        if quiet >= self.silent:
            return (
                f"warning: {who} has been silent for {quiet:.0f} s, at batch {begun}: it was stopped, or its machine or network "
                "is gone; the others wait for it"
            )
        return f"warning: {who} is {late:.0f} s behind, at batch {begun} of {self._begun}; the others wait for it"
