"""What chat and text completions have in common: an envelope around choices, whole or in pieces."""

import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from medicalgpt.serve.api.exchange import Exchange
from medicalgpt.serve.api.job import News
from medicalgpt.serve.api.service import Service

Choice = dict[str, Any]


class Shape(ABC):
    """How one kind of completion is written. A whole choice is merged from the pieces that a stream would bring."""

    kind: ClassVar[str]
    chunk_kind: ClassVar[str]
    prefix: ClassVar[str]

    def __init__(self, service: Service, dropped_turns: int = 0) -> None:
        self.service, self.dropped_turns = service, dropped_turns
        self.id = f"{self.prefix}-{secrets.token_hex(12)}"
        self.created = int(time.time())

    @abstractmethod
    def opening(self) -> list[Choice]:
        """Pieces that come before anything is known of the answers."""

    @abstractmethod
    def pieces(self, news: News) -> list[Choice]:
        """Pieces of one answer."""

    @abstractmethod
    def merged(self, pieces: Sequence[Choice]) -> Choice:
        """All pieces of one answer as a whole choice."""

    def chunk(self, choices: Sequence[Choice]) -> dict[str, Any]:
        """A piece of a stream."""
        return self._envelope(self.chunk_kind, choices)

    def whole(self, choices: Sequence[Choice], usage: dict[str, Any]) -> dict[str, Any]:
        """A complete answer."""
        return self._envelope(self.kind, choices) | {"usage": usage}

    def usage(self, exchange: Exchange) -> dict[str, Any]:
        """Tokens that were read and written; old turns that were left out, where there are any."""
        prompt, completion = exchange.prompt_tokens, exchange.completion_tokens
        dropped = {"dropped_turns": self.dropped_turns} if self.dropped_turns else {}
        counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        return counts | dropped

    @property
    def headers(self) -> dict[str, str]:
        """What a client should know that the body has no place for."""
        return {"X-Dropped-Turns": str(self.dropped_turns)} if self.dropped_turns else {}

    def _envelope(self, kind: str, choices: Sequence[Choice]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.service.name,
            "system_fingerprint": self.service.fingerprint,
            "choices": list(choices),
        }
