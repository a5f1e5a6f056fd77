"""A request to a model that answers many at once: what its asker is told, and what the worker keeps of it."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from medicalgpt.generate.backends.decoder.token_score import TokenScore
from medicalgpt.generate.prompts import EncodedPrompt
from medicalgpt.generate.sampling import Sampling, row_seed
from medicalgpt.generate.stream import TextStream

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Piece:
    """News of one of a request's answers: text that can be shown, a token behind it, or the end.

    `text` may be empty while characters are incomplete or a stop text may have begun. `token` is None where a piece only
    brings the rest of the text. `finish` is set in an answer's last piece: "stop", or "length" for one that was cut off;
    `end` is the stop token that ended it, where scores were asked for. `prompt` comes first where the prompt's were: one
    for each of its tokens but the first, or none at all where the model's head is out of reach.
    """

    choice: int
    text: str = ""
    token: int | None = None
    score: TokenScore | None = None
    finish: Finish | None = None
    end: tuple[int, TokenScore] | None = None
    prompt: Sequence[TokenScore] | None = None


Sink = Callable[[Piece | Exception], None]
"""Called on the worker's thread with each piece, or with the error that ended the whole request; must not block."""


class Request:
    """`n` answers to one prompt. `cancel` may be called from any thread, at any time, more than once.

    Args:
        top: with log-probabilities, and those of so many likeliest tokens.
        echo: with those of the prompt, too.
        empty: nothing is told of the answers but that they are over.
        adapter: name of the adapter that answers, where there are several.
    """

    def __init__(
        self,
        encoded: EncodedPrompt,
        sampling: Sampling,
        sink: Sink,
        n: int = 1,
        top: int | None = None,
        *,
        echo: bool = False,
        empty: bool = False,
        adapter: str = "",
    ) -> None:
        self.encoded, self.sampling, self.sink, self.n, self.top = encoded, sampling, sink, n, top
        self.echo, self.empty, self.adapter = echo, empty, adapter
        self.seeds = [row_seed(sampling.seed, choice) for choice in range(n)]
        self.ended = threading.Event()
        """Set when every answer is complete, or the request was cancelled or failed."""
        self.cancelled = False
        self._open = n

    def cancel(self) -> None:
        """Nobody wants the rest: no more pieces, and its place is free after the step that is under way."""
        self.cancelled = True
        self.ended.set()

    def tell(self, piece: Piece) -> None:
        """Pass a piece on."""
        if self.ended.is_set():
            return
        if piece.finish:
            self._open -= 1
            if not self._open:
                self.ended.set()
        self.sink(piece)

    def fail(self, error: Exception) -> None:
        """End it with an error, once."""
        if not self.ended.is_set():
            self.ended.set()
            self.sink(error)


class PendingAnswer:
    """One answer in the making: its text, told piece by piece."""

    def __init__(self, request: Request, choice: int, decode: Callable[[list[int]], str]) -> None:
        self.request, self.choice = request, choice
        self._text = TextStream(decode, request.sampling.stop)
        self._begun = False

    def push(self, token: int, scores: Sequence[TokenScore] = ()) -> bool:
        """Take a token that is no stop token, with the answer's scores so far; whether the answer is to end here."""
        if self.request.ended.is_set() or self.request.empty:
            return True
        text = self._text.push(token)
        self.request.tell(Piece(self.choice, text, token, scores[-1] if scores else None))
        return self._text.stopped

    def tell_prompt(self, scores: Sequence[TokenScore] | None) -> None:
        """Tell the prompt's scores, once, before anything else."""
        if self.request.echo and not self._begun:
            self._begun = True
            self.request.tell(Piece(self.choice, prompt=scores or ()))

    def finish(self, stopped: bool, end: tuple[int, TokenScore] | None = None) -> None:
        """Tell the rest; `stopped` where a stop token ended it, which `end` is with its score."""
        if self.request.empty:
            self.request.tell(Piece(self.choice, finish="length"))
            return
        ended = stopped or self._text.stopped
        self.request.tell(Piece(self.choice, self._text.finish(), finish="stop" if ended else "length", end=end))
