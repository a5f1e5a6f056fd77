"""How tokens are drawn: the settings, and one seed per answer so that an answer does not depend on its neighbors."""

import hashlib
import math
from dataclasses import dataclass
from numbers import Integral, Real

from medicalgpt.errors import ServeError
from medicalgpt.structured.constraint import Constraint


@dataclass(frozen=True, slots=True)
class Sampling:
    """Settings of one call. The defaults are greedy decoding.

    `temperature` 0 takes the most likely token. `top_k` 0 and `top_p` 1 keep every token. `repetition_penalty` above 1
    makes tokens of prompt and answer less likely (arXiv 1909.05858). `stop` are texts that end an answer beside the
    model's stop tokens; they are not part of it. The first `min_new_tokens` tokens are no stop tokens. With a `constraint` an
    answer is JSON that keeps a schema, unless `max_new_tokens` or a stop text cuts it off.

    Raises:
        ServeError: a value outside its range, named with what is allowed.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    min_new_tokens: int = 0
    constraint: Constraint | None = None

    def __post_init__(self) -> None:
        for name in ("max_new_tokens", "top_k", "seed", "min_new_tokens"):
            _check_type(name, getattr(self, name), Integral, "a whole number")
        for name in ("temperature", "top_p", "repetition_penalty"):
            _check_type(name, getattr(self, name), Real, "a number")
        _check("max_new_tokens", self.max_new_tokens, self.max_new_tokens >= 1, "a whole number of at least 1")
        _check("temperature", self.temperature, 0 <= self.temperature < math.inf, "0 (greedy) or above")
        _check("top_p", self.top_p, 0 < self.top_p <= 1, "above 0 and at most 1")
        _check("top_k", self.top_k, self.top_k >= 0, "0 (off) or above")
        _check(
            "repetition_penalty", self.repetition_penalty, 0 < self.repetition_penalty < math.inf, "above 0 (1 is off)"
        )
        _check("seed", self.seed, self.seed >= 0, "0 or above")
        _check(
            "min_new_tokens",
            self.min_new_tokens,
            0 <= self.min_new_tokens <= self.max_new_tokens,
            f"0 (off) to max_new_tokens ({self.max_new_tokens})",
        )
        if any(not text for text in self.stop):
            raise ServeError("stop: an empty text would end every answer at once; give at least one character")
        if self.constraint is not None and self.min_new_tokens:
            raise ServeError("min_new_tokens and a constraint exclude each other: the answer ends where its JSON does")

    @property
    def rule(self) -> tuple[float, float, int, float, int]:
        """All that decides how a token is drawn, beside the random number."""
        return self.temperature, self.top_p, self.top_k, self.repetition_penalty, self.min_new_tokens

    @property
    def greedy(self) -> bool:
        """Whether the most likely token is taken each time; then the seed plays no part."""
        return self.temperature == 0


def _check(name: str, value: float, right: bool, allowed: str) -> None:
    if not right:
        raise ServeError(f"{name} is {value}; allowed: {allowed}")


def _check_type(name: str, value: object, wanted: type, allowed: str) -> None:
    if isinstance(value, bool) or not isinstance(value, wanted):
        raise ServeError(f"{name} is a {type(value).__name__}; allowed: {allowed}")


def row_seed(seed: int, index: int) -> int:
    """Seed of answer number `index` of a call: equal for equal arguments on every machine, unrelated for others."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{index}".encode()).digest()[:8], "big")
