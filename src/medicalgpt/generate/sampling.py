"""How tokens are drawn: the settings, and one seed per answer so that an answer does not depend on its neighbors."""

import hashlib
import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Final

from medicalgpt.errors import ServeError
from medicalgpt.structured.constraint import Constraint

PENALTIES: Final = ("frequency_penalty", "presence_penalty")
LATER: Final = ("constraint", "min_p", *PENALTIES, "logit_bias")
"""Settings that came after the others: what was written without them means that they are off."""
MOST_PENALTY: Final = 2
MOST_BIASED: Final = 1024
"""Tokens that may have a bias; each costs a little at every token of an answer."""
MOST_BIAS: Final = 100


@dataclass(frozen=True, slots=True)
class Sampling:
    """Settings of one call. The defaults are greedy decoding.

    `temperature` 0 takes the most likely token. `top_k` 0, `top_p` 1 and `min_p` 0 keep every token; `min_p` leaves those at
    least so many times as likely as the likeliest (arXiv 2407.01082). `repetition_penalty` above 1 makes tokens of prompt and
    answer less likely (arXiv 1909.05858). `frequency_penalty` is taken from a token's logit for every time that it stands in
    the answer, `presence_penalty` once; `logit_bias` are pairs of a token id and what is added to its logit. `stop` are texts
    that end an answer beside the model's stop tokens; they are not part of it. The first `min_new_tokens` tokens are no stop
    tokens. With a `constraint` an answer is JSON that keeps a schema, unless `max_new_tokens` or a stop text cuts it off.

    Order: bias, repetition, frequency and presence penalty, least length; then the most likely token, or temperature, min_p,
    top_k, top_p and the draw.

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
    min_p: float = 0.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        for name in ("max_new_tokens", "top_k", "seed", "min_new_tokens"):
            _check_type(name, getattr(self, name), Integral, "a whole number")
        for name in ("temperature", "top_p", "repetition_penalty", "min_p", *PENALTIES):
            _check_type(name, getattr(self, name), Real, "a number")
        _check("max_new_tokens", self.max_new_tokens, self.max_new_tokens >= 1, "a whole number of at least 1")
        _check("temperature", self.temperature, 0 <= self.temperature < math.inf, "0 (greedy) or above")
        _check("top_p", self.top_p, 0 < self.top_p <= 1, "above 0 and at most 1")
        _check("top_k", self.top_k, self.top_k >= 0, "0 (off) or above")
        _check(
            "repetition_penalty", self.repetition_penalty, 0 < self.repetition_penalty < math.inf, "above 0 (1 is off)"
        )
        _check("min_p", self.min_p, 0 <= self.min_p <= 1, "0 (off) to 1")
        for name in PENALTIES:
            value = getattr(self, name)
            _check(name, value, abs(value) <= MOST_PENALTY, f"-{MOST_PENALTY} to {MOST_PENALTY} (0 is off)")
        _check_bias(self.logit_bias)
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
    def rule(self) -> tuple[object, ...]:
        """All that decides how a token is drawn, beside the random number."""
        drawn = self.temperature, self.top_p, self.top_k, self.min_p, self.min_new_tokens
        return *drawn, self.repetition_penalty, self.frequency_penalty, self.presence_penalty, self.logit_bias

    @property
    def adjusts(self) -> bool:
        """Whether logits are changed before a token is chosen of them."""
        penalized = self.repetition_penalty != 1 or self.frequency_penalty or self.presence_penalty
        return bool(penalized or self.logit_bias or self.min_new_tokens)

    @property
    def greedy(self) -> bool:
        """Whether the most likely token is taken each time; then the seed plays no part."""
        return self.temperature == 0


def _check(name: str, value: float, right: bool, allowed: str) -> None:
    if not right:
        raise ServeError(f"{name} is {value}; allowed: {allowed}")


def _check_bias(pairs: tuple[tuple[int, float], ...]) -> None:
    if len(pairs) > MOST_BIASED:
        raise ServeError(f"logit_bias has {len(pairs)} tokens; allowed: at most {MOST_BIASED}")
    if len({token for token, _ in pairs}) < len(pairs):
        raise ServeError("logit_bias names a token twice; give each once")
    for token, value in pairs:
        # Settings are made again for every prompt of a request, and almost all are right.
        if type(token) is int and type(value) is float and token >= 0 and abs(value) <= MOST_BIAS:
            continue
        _check_type("logit_bias: a token id", token, Integral, "a whole number")
        _check_type("logit_bias: a bias", value, Real, "a number")
        _check("logit_bias: a token id", token, token >= 0, "0 or above")
        _check("logit_bias: a bias", value, abs(value) <= MOST_BIAS, f"-{MOST_BIAS} to {MOST_BIAS}")


def _check_type(name: str, value: object, wanted: type, allowed: str) -> None:
    if isinstance(value, bool) or not isinstance(value, wanted):
        raise ServeError(f"{name} is a {type(value).__name__}; allowed: {allowed}")


def row_seed(seed: int, index: int) -> int:
    """Seed of answer number `index` of a call: equal for equal arguments on every machine, unrelated for others."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{index}".encode()).digest()[:8], "big")
