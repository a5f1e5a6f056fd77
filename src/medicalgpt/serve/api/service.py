"""What the API serves, and within which limits."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from medicalgpt.errors import ServeError
from medicalgpt.generate.live.engine import BatchingEngine
from medicalgpt.generate.token_text import TokenTexts
from medicalgpt.runs.hashes import hash_json
from medicalgpt.serve.api.access import ApiKeys
from medicalgpt.serve.api.exchange import Room


@dataclass(frozen=True)
class Limits:
    """Of one request: tokens of its answers and its prompt, bytes of its body, seconds until it must be answered."""

    max_tokens: int = 2048
    max_prompt_tokens: int = 32768
    max_body: int = 4 * 2**20
    timeout: float = 600.0


@dataclass
class Service:
    """A model with its names, keys and limits.

    Args:
        names: what clients call the model; answers carry the first one.
        system: system message for conversations that have none.
        local_only: without keys, answer only requests that name this machine as the host they ask.
    """

    live: BatchingEngine
    names: tuple[str, ...]
    limits: Limits = field(default_factory=Limits)
    keys: ApiKeys = field(default_factory=ApiKeys)
    system: str | None = None
    local_only: bool = True
    stopping: bool = False
    """Set when the server shuts down: what is under way goes on, what comes is refused."""

    def __post_init__(self) -> None:
        if not self.names:
            raise ServeError("a model to be served needs a name")
        self.created = int(time.time())
        self.room = Room(self.live.slots + self.live.queue)
        self.texts = TokenTexts(self.live.engine.tokenizer)
        self.fingerprint = f"fp_{hash_json(self.live.engine.origin)[:12]}"
        # Tokenizing takes long for long prompts. Few threads, so that it cannot take the processor from the model.
        self.readers = ThreadPoolExecutor(2, "medicalgpt-read")

    @property
    def name(self) -> str:
        """The model's first name."""
        return self.names[0]
