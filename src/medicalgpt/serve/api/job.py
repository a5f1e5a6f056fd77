"""From the worker's thread to the event loop: what a request's answers bring, merged while nobody takes it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from medicalgpt.generate.backends.decoder.pool import TokenScore
from medicalgpt.generate.live.request import Finish, Piece, Sink


@dataclass
class News:
    """What came of one answer since it was last asked."""

    choice: int
    text: str = ""
    tokens: int = 0
    scored: list[tuple[int, TokenScore]] = field(default_factory=list)
    finish: Finish | None = None


class Inbox:
    """Pieces of an HTTP request's answers, which may come from several prompts.

    What waits here is never more than the answers' tokens, which are limited; see `exchange.Room`.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: deque[tuple[int, Piece | Exception]] = deque()
        self._arrived = asyncio.Event()
        self._called = False
        self._open = 0

    def sink(self, first_choice: int, answers: int) -> Sink:
        """Where a prompt's answers go, which are numbered from `first_choice`. May be called from any thread."""
        self._open += answers

        def take(item: Piece | Exception) -> None:
            self._items.append((first_choice, item))
            if not self._called:  # one call wakes the loop, however much comes until it looks
                self._called = True
                try:
                    self._loop.call_soon_threadsafe(self._arrived.set)
                except RuntimeError:  # the loop is closed: nobody waits, and the worker must go on
                    self._items.clear()

        return take

    async def news(self) -> AsyncIterator[list[News]]:
        """What came, at most one item for each answer, until all are complete.

        Raises:
            Exception: whatever ended a request.
        """
        while self._open:
            await self._arrived.wait()
            self._arrived.clear()
            self._called = False
            if found := self._taken():
                yield found

    def _taken(self) -> list[News]:
        found: dict[int, News] = {}
        while self._items:
            first, item = self._items.popleft()
            if isinstance(item, Exception):
                raise item
            choice = first + item.choice
            news = found.setdefault(choice, News(choice))
            news.text += item.text
            if item.token is not None:
                news.tokens += 1
                if item.score:
                    news.scored.append((item.token, item.score))
            if item.finish:
                news.finish = item.finish
                self._open -= 1
        return list(found.values())
