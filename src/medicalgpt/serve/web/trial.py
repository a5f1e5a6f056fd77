"""A blind comparison: answers of several models to one question, under letters until the reader has judged."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from medicalgpt.serve.web.conversation import WebAnswer, WebExchange
from medicalgpt.serve.web.served import ServedModel

LETTERS: Final = ("A", "B", "C")

Verdict = Literal["A", "B", "C", "tie", "bad"]
"""The letter of the best answer; all as good; or none of them good."""

_BY_CHANCE = random.SystemRandom()


@dataclass(eq=False)
class Trial:
    """The models in the order of their letters, and the answers so far.

    The answers join those of `exchange` when they are judged, so that nothing of the page shows them with a name before.
    """

    exchange: WebExchange
    models: Sequence[ServedModel]
    answers: list[WebAnswer] = field(default_factory=list)

    @classmethod
    def of(cls, exchange: WebExchange, models: Sequence[ServedModel]) -> "Trial":
        """In an order that nothing outside decides, the seed of the answers included."""
        return cls(exchange, _BY_CHANCE.sample(list(models), len(models)))

    @property
    def complete(self) -> bool:
        """Whether every model has given an answer that ended by itself, which alone may be learned from."""
        return len(self.answers) == len(self.models) and all(answer.complete for answer in self.answers)

    @property
    def names(self) -> str:
        """Who is behind the letters."""
        told = zip(LETTERS, self.answers)
        return "; ".join(f"{letter}: {answer.signature}" for letter, answer in told)

    def best(self, verdict: Verdict | None) -> WebAnswer | None:
        """The answer under the letter that was said."""
        return self.answers[LETTERS.index(verdict)] if verdict in LETTERS else None

    def reveal(self, verdict: Verdict | None) -> None:
        """Give the answers to the exchange; the conversation goes on from the best one.

        A silent answer is left out: it would only confuse the model in the next turn.
        """
        best = self.best(verdict)
        said = [answer for answer in self.answers if answer.text.strip()]
        self.exchange.shown = len(self.exchange.answers) + (said.index(best) if best in said else 0)
        self.exchange.answers += said
