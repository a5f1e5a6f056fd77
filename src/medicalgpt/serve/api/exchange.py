"""One HTTP request and its answer: what is counted and logged of it, and what must be given back when it ends."""

import secrets
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from medicalgpt.generate.live.request import Request
from medicalgpt.serve.api.errors import busy

_KEY = "medicalgpt.exchange"
CLIENT_LEFT = 499
"""The status that is logged when nobody waited for the answer."""


@dataclass
class Room:
    """How much is open at the same time. An answer counts until its client has all of it, however slow that client is."""

    most: int
    requests: int = 0
    answers: int = 0
    by_key: Counter[bytes] = field(default_factory=Counter)
    """Answers of each key that has some; a request counts as one until it says how many it asks for."""


@dataclass
class Exchange:
    """Kept beside a request while it is here; no word of what was asked or answered."""

    path: str
    id: str = field(default_factory=lambda: f"req_{secrets.token_hex(12)}")
    started: float = field(default_factory=time.perf_counter)
    status: int = 0
    streaming: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first_token: float | None = None
    """Seconds until the first token was on its way."""
    requests: list[Request] = field(default_factory=list)
    """What was asked of the model."""
    key: bytes = b""
    """Whose it is: the digest of its API key."""
    _room: Room | None = None
    _most_each: int = 0
    _answers: int = 0
    _own: int = 0

    def enter(self, room: Room, most_each: int) -> None:
        """Take a place for a request, of which its key may have so many.

        Raises:
            ApiError: 429, there is none.
        """
        if room.requests >= room.most:
            raise busy(f"{room.requests} requests are open, which is as many as may be; try again later")
        self._take_own(room, 1, most_each)
        room.requests += 1
        self._room, self._most_each = room, most_each

    def expect(self, answers: int) -> None:
        """Take places for the answers it asks for.

        Raises:
            ApiError: 429, there are too few.
        """
        assert self._room is not None
        if self._room.answers + answers > self._room.most:
            raise busy(f"{self._room.answers} answers are open, of at most {self._room.most}; try again later")
        self._take_own(self._room, answers - self._own, self._most_each)
        self._room.answers += answers
        self._answers += answers

    def _take_own(self, room: Room, more: int, most: int) -> None:
        if room.by_key[self.key] + more > most:
            raise busy(f"your API key has {room.by_key[self.key]} answers open, of at most {most}; try again later")
        room.by_key[self.key] += more
        self._own += more

    def leave(self) -> None:
        """Give everything back; answers that are under way are wanted by nobody now."""
        for request in self.requests:
            request.cancel()
        if self._room is not None:
            self._room.requests -= 1
            self._room.answers -= self._answers
            self._room.by_key[self.key] -= self._own
            self._room.by_key += Counter()  # without those that have none
            self._room = None

    @property
    def seconds(self) -> float:
        """Since it came."""
        return time.perf_counter() - self.started

    def keep_in(self, scope: Any) -> None:
        """Lay it beside the request."""
        scope.setdefault("state", {})[_KEY] = self

    @staticmethod
    def of(scope: Mapping[str, Any]) -> "Exchange":
        """The one that belongs to a request."""
        found: Exchange = scope["state"][_KEY]
        return found
