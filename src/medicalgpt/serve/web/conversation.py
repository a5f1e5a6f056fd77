"""One conversation of the web page: questions, and for each the answers that were given to it."""

from dataclasses import dataclass, field
from typing import Literal
from uuid import uuid4

from medicalgpt.data.records import Message

Ending = Literal["stop", "length", "stopped", "failed"]
"""By itself, at the longest answer, by the user, or by an error."""


@dataclass(eq=False)
class WebAnswer:
    """One answer, in the making while `ending` is None.

    `prompt` are the turns that the model read, without those that did not fit; `rating` is what the user thinks of it.
    `opened`: the prompt opened a thinking block, whose tag then begins the text. `model` and `version` say who gave it; the
    version is empty where nothing tells one (`ModelInfo.version`). `trial` is the id of the blind comparison
    that said which of its answers is better.
    """

    prompt: tuple[Message, ...]
    text: str = ""
    ending: Ending | None = None
    tokens: int = 0
    seconds: float = 0.0
    dropped_turns: int = 0
    settings: dict[str, object] = field(default_factory=dict)
    rating: bool | None = None
    opened: bool = False
    model: str = ""
    version: str = ""
    trial: str = ""
    id: str = field(default_factory=lambda: uuid4().hex)

    @property
    def signature(self) -> str:
        """Model and version in one line."""
        return " · ".join(filter(None, (self.model, self.version)))

    @property
    def complete(self) -> bool:
        """Whether its end is the model's own; only then can anything be learned from it."""
        return self.ending == "stop" and bool(self.text.strip())


@dataclass(eq=False)
class WebExchange:
    """A question with its answers in the order given; `shown` is the one that the conversation goes on from."""

    question: str
    answers: list[WebAnswer] = field(default_factory=list)
    shown: int = 0

    @property
    def answer(self) -> WebAnswer | None:
        """The answer that is shown; None before the first one is begun."""
        return self.answers[self.shown] if self.answers else None

    def turn(self, step: int) -> None:
        """Show an earlier (-1) or later (1) answer; stays at the ends."""
        self.shown = min(max(self.shown + step, 0), len(self.answers) - 1)


@dataclass
class Conversation:
    """Exchanges in order."""

    exchanges: list[WebExchange] = field(default_factory=list)

    @property
    def last(self) -> WebExchange | None:
        """The one that can be asked again."""
        return self.exchanges[-1] if self.exchanges else None

    def prompt(self, system: str | None) -> list[Message]:
        """What a model is asked for an answer to the last question: the earlier exchanges as shown, and that question."""
        turns = [Message("system", system)] if system else []
        for exchange in self.exchanges[:-1]:
            turns.append(Message("user", exchange.question))
            turns.append(Message("assistant", exchange.answer.text if exchange.answer else ""))
        return [*turns, Message("user", self.exchanges[-1].question)]

    def cut(self, number: int) -> None:
        """Forget exchange `number` (from 0) and all after it."""
        del self.exchanges[number:]

    def take_back(self, answers: int) -> str | None:
        """Leave only the first `answers` of the last question; without any, forget the question and give it back."""
        exchange = self.exchanges[-1]
        del exchange.answers[answers:]
        exchange.shown = max(answers - 1, 0)
        if answers:
            return None
        self.exchanges.pop()
        return exchange.question
