"""What the API serves, and within which limits."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from medicalgpt.errors import ServeError
from medicalgpt.generate.live.engine import BatchingEngine
from medicalgpt.generate.token_text import TokenTexts
from medicalgpt.network.access import ApiKeys
from medicalgpt.rendering.unwanted import unless
from medicalgpt.runs.hashes import hash_json
from medicalgpt.serve.api.bodies import Bodies
from medicalgpt.serve.api.exchange import Room
from medicalgpt.serve.api.template_settings import TemplatesBySettings

T = TypeVar("T")
CHARACTERS_PER_TOKEN = 16
"""What no usual text has. Longer prompts than so many times `max_prompt_tokens` are refused before they are tokenized."""

_UNFINISHED = 64 * 2**20  # bytes of all bodies together that are not complete


@dataclass(frozen=True)
class Limits:
    """Of one request: tokens of its answers and its prompt, bytes of its body, seconds until it must be answered and, before
    that, its body must be complete. Of one key: answers that wait or are under way; None: as `Service.most_each` says.
    """

    max_tokens: int = 2048
    max_prompt_tokens: int = 32768
    max_body: int = 4 * 2**20
    timeout: float = 600.0
    body_timeout: float = 60.0
    per_key: int | None = None


@dataclass
class Service:
    """A model with its names, keys and limits.

    Args:
        names: what clients call the model; answers carry the first one.
        system: system message for conversations that have none.
        local_only: without keys, answer only requests that name this machine as the host they ask.
        described: whether /openapi.json and /docs say what there is.
        origins: web pages that may ask from a browser.
        adapters: further names, each of an adapter that answers who asks for it.
    """

    live: BatchingEngine
    names: tuple[str, ...]
    limits: Limits = field(default_factory=Limits)
    keys: ApiKeys = field(default_factory=ApiKeys)
    system: str | None = None
    local_only: bool = True
    described: bool = False
    origins: tuple[str, ...] = ()
    adapters: tuple[str, ...] = ()
    draining: bool = False
    """Set when the server was told to stop: proxies are to send requests elsewhere, and those that come are answered."""
    stopping: bool = False
    """Set when the server shuts down: what is under way goes on, what comes is refused."""

    def __post_init__(self) -> None:
        if not self.names:
            raise ServeError("a model to be served needs a name")
        if twice := set(self.names) & set(self.adapters):
            raise ServeError(
                f"{', '.join(sorted(twice))} is a name of the model and of an adapter; give one of both another"
            )
        self.created = int(time.time())
        self.room = Room(self.live.slots + self.live.queue)
        self.bodies = Bodies(self.limits.max_body, _UNFINISHED, self.limits.body_timeout)
        self.texts = TokenTexts(self.live.engine.tokenizer)
        self.templates = TemplatesBySettings(self.live.engine)
        self.fingerprint = f"fp_{hash_json(self.live.engine.origin)[:12]}"
        # Few threads, so that they cannot take the processor from the model. Tokenizing a long prompt may take seconds, for
        # which nobody else's checks wait.
        self.readers = ThreadPoolExecutor(2, "medicalgpt-read")
        self.checkers = ThreadPoolExecutor(2, "medicalgpt-check")

    @property
    def most_each(self) -> int:
        """Answers that one key may have at the same time: half of what there is room for, where there are several keys."""
        most = self.room.most
        share = -(-most // 2) if len(self.keys) > 1 else most
        return min(most, self.limits.per_key or share)

    async def read(self, work: Callable[..., T], *given: Any) -> T:
        """Tokenizing and rendering, on a thread for it: the event loop serves the others meanwhile."""
        return await _on(self.readers, work, *given)

    async def check(self, work: Callable[..., T], *given: Any) -> T:
        """Parsing, and checks against schemas, likewise."""
        return await _on(self.checkers, work, *given)

    def close(self) -> None:
        """No more work for the threads; what one is busy with ends by itself."""
        for pool in (self.readers, self.checkers):
            pool.shutdown(wait=False, cancel_futures=True)

    @property
    def most_characters(self) -> int:
        """Of a prompt, before it is tokenized."""
        return CHARACTERS_PER_TOKEN * self.limits.max_prompt_tokens

    @property
    def all_names(self) -> tuple[str, ...]:
        """What a client may ask for."""
        return (*self.names, *self.adapters)

    def answered_as(self, asked: str) -> str:
        """The name that answers carry."""
        return asked if asked in self.adapters else self.name

    @property
    def name(self) -> str:
        """The model's first name."""
        return self.names[0]


async def _on(threads: ThreadPoolExecutor, work: Callable[..., T], *given: object) -> T:
    """Work on another thread. It ends soon after the client has left, or its time is over."""
    left = threading.Event()

    def wanted() -> T:
        with unless(left.is_set):
            return work(*given)

    try:
        return await asyncio.get_running_loop().run_in_executor(threads, wanted)
    finally:
        left.set()
