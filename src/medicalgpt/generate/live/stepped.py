"""How the live worker gets answers out of a backend that batches by itself: each joins and leaves between two steps."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from medicalgpt.errors import LostError, ServeError
from medicalgpt.generate.backends.base import Stepping
from medicalgpt.generate.live.request import PendingAnswer


class SteppedWork:
    """With vLLM: its own scheduler batches what is under way; here is who is, and at most `slots` at a time."""

    def __init__(self, backend: Stepping, slots: int) -> None:
        self.backend, self.slots = backend, slots
        self._waiting: list[PendingAnswer] = []
        self._under_way: dict[str, PendingAnswer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.backend.leave(list(self._under_way))

    @property
    def answers(self) -> list[PendingAnswer]:
        """Those that are not complete."""
        return [*self._under_way.values(), *self._waiting]

    @property
    def active(self) -> int:
        """How many of them are under way."""
        return len(self._under_way)

    def take(self, arrived: Sequence[PendingAnswer]) -> None:
        """Let new answers join where there is room, after those that nobody wants any more have left."""
        self._leave([name for name, answer in self._under_way.items() if answer.request.ended.is_set()])
        self._waiting = [a for a in [*self._waiting, *arrived] if not a.request.ended.is_set()]
        while self._waiting and len(self._under_way) < self.slots:
            answer = self._waiting.pop(0)
            request = answer.request
            try:
                name = self.backend.join(
                    request.encoded.ids, request.sampling, request.seeds[answer.choice], request.adapter
                )
            except ServeError as error:
                request.fail(error)
                if isinstance(error, LostError):
                    raise
                continue
            self._under_way[name] = answer

    def step(self) -> int:
        """What the backend has made since it was last asked; gives the number of tokens."""
        if not self._under_way:
            return 0
        tokens = 0
        for name, new, finished in self.backend.advance():
            answer = self._under_way.get(name)
            if answer is None:  # it left while this step ran
                continue
            tokens += len(new)
            stop = bool(new) and finished and new[-1] in self.backend.stop_ids
            ended = any(answer.push(token) for token in (new[:-1] if stop else new))
            if finished or ended:
                answer.finish(stop)
                self._leave([name], known=finished)
        return tokens

    def _leave(self, names: Sequence[str], known: bool = False) -> None:
        """`known`: the backend has let them go by itself."""
        for name in names:
            del self._under_way[name]
        if names and not known:
            self.backend.leave(names)

    def give_up(self) -> list[PendingAnswer]:
        """After an error: what was under way, none of which goes on. Those that wait may join."""
        lost = list(self._under_way.values())
        self._leave(list(self._under_way))
        return lost
