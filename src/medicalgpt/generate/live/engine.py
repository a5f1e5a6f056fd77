"""One model for many askers at once: a request joins the batch that is under way and leaves it when it is answered."""

import threading
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from medicalgpt.errors import BusyError, LostError, MedicalGPTError, ServeError
from medicalgpt.generate.backends.base import Stepping
from medicalgpt.generate.backends.decoder.backend import Decoder, out_of_memory
from medicalgpt.generate.engine import Completion, Engine
from medicalgpt.generate.live.request import PendingAnswer, Piece, Request, Sink
from medicalgpt.generate.live.stepped import SteppedWork
from medicalgpt.generate.live.work import BatchedWork, PooledWork
from medicalgpt.generate.prompts import Prompt
from medicalgpt.generate.sampling import Sampling

Work = PooledWork | SteppedWork | BatchedWork


@dataclass
class LoadStats:
    """What the worker is busy with, in answers, and the tokens it has read and written since it started."""

    active: int = 0
    waiting: int = 0
    tokens: int = 0
    prompt_tokens: int = 0


class BatchingEngine:
    """An engine behind a queue, with one thread that works on the model: a context manager, and the model is its own.

    Args:
        slots: answers under way at the same time; each takes memory for the longest text among them.
        queue: answers that may wait beside them; more are refused.
    """

    def __init__(self, engine: Engine, *, slots: int = 8, queue: int = 64) -> None:
        for name, value, least in (("slots", slots, 1), ("queue", queue, 0)):
            if value < least:
                raise ServeError(f"{name} is {value}; allowed: at least {least}")
        self.engine, self.slots, self.queue = engine, slots, queue
        self.load = LoadStats()
        self.broken = False
        """Whether it ended although nobody closed it: no answer will ever come again."""
        self._inbox: deque[PendingAnswer] = deque()
        self._taken: list[PendingAnswer] = []  # what the worker had when it last looked
        self._news = threading.Condition()
        self._closing = self._draining = False
        self._thread = threading.Thread(target=self._work, name="medicalgpt-live", daemon=True)

    @property
    def gives_scores(self) -> bool:
        """Whether tokens can come with their log-probabilities."""
        return isinstance(self.engine.backend, Decoder)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def submit(
        self,
        prompt: Prompt,
        sampling: Sampling,
        sink: Sink,
        *,
        n: int = 1,
        top: int | None = None,
        echo: bool = False,
        empty: bool = False,
        adapter: str = "",
    ) -> Request:
        """Ask for `n` answers.

        With `top` every token comes with its log-probability and those of the `top` likeliest, with `echo` the prompt's
        tokens, too; `empty`: nothing is told of the answers but their end; `adapter`: one of `ModelOptions.adapters`.

        Raises:
            ServeError, RenderError: as `Engine.prepare`; a value out of range; or a backend without log-probabilities.
            BusyError: no room to wait, or the worker is shutting down.
        """
        if n < 1:
            raise ServeError(f"n is {n}; allowed: at least 1")
        if top is not None and not self.gives_scores:
            raise ServeError("logprobs: this model runs on a backend that gives no log-probabilities; leave them out")
        encoded = self.engine.prepare(prompt, sampling)
        request = Request(encoded, self.engine.settled(sampling), sink, n, top, echo=echo, empty=empty, adapter=adapter)
        with self._news:
            if self._closing or self._draining:
                raise BusyError("the server is shutting down")
            # A step may take long; who has left since it began is in nobody's way.
            left = sum(answer.request.ended.is_set() for answer in (*self._taken, *self._inbox))
            if self.load.waiting + n - left > max(self.slots - self.load.active, 0) + self.queue:
                raise BusyError(f"the model is busy: {self.load.waiting} answers are waiting already; try again later")
            self.load.waiting += n
            self.load.prompt_tokens += len(request.encoded.ids)
            self._inbox.extend(PendingAnswer(request, choice, self.engine.text) for choice in range(n))
            self._news.notify_all()
        return request

    def stream(self, prompt: Prompt, sampling: Sampling) -> Generator[str, None, Completion]:
        """As `Engine.stream`, beside whatever else is asked; `token_ids` without stop token. Closing it cancels.

        Raises:
            MedicalGPTError: as `submit`, at once; or whatever ended the request, while iterating.
        """
        news: SimpleQueue[Piece | Exception] = SimpleQueue()
        return _pieces(self.submit(prompt, sampling, news.put), news)

    def drain(self, seconds: float) -> bool:
        """Refuse new requests and wait for those there are, at most so long; whether all were answered."""
        with self._news:
            self._draining = True
            return self._news.wait_for(lambda: not (self.load.active or self.load.waiting), seconds)

    def close(self) -> None:
        """End what is under way with an error and give the model back."""
        with self._news:
            self._closing = True
            self._news.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        """The thread: whatever happens, nobody is left waiting for an answer."""
        backend = self.engine.backend
        work: Work
        if isinstance(backend, Decoder):
            work = PooledWork(backend, self.slots)
        elif isinstance(backend, Stepping):
            work = SteppedWork(backend, self.slots)
        else:
            work = BatchedWork(backend, self.slots)
        why = ServeError("the server was stopped before this answer was complete")
        try:
            with work:
                while not self._closing:
                    self._once(work)
        except LostError as error:
            why = error
        finally:
            with self._news:
                self.broken, self._closing = not self._closing, True
                left = [*work.answers, *self._inbox]
                self.load.active = self.load.waiting = 0
                self._news.notify_all()
            for answer in left:
                answer.request.fail(why)

    def _once(self, work: Work) -> None:
        with self._news:
            self._news.wait_for(lambda: work.answers or self._inbox or self._closing)
            work.take(list(self._inbox))
            self._inbox.clear()
            self._count(work, 0)
        try:
            tokens = work.step()
        except LostError:
            raise
        except Exception as error:
            tokens = 0
            for answer in work.give_up():
                answer.request.fail(_told(error))
        self._count(work, tokens)

    def _count(self, work: Work, tokens: int) -> None:
        with self._news:
            self.load.active, self.load.waiting = work.active, len(work.answers) - work.active + len(self._inbox)
            self.load.tokens += tokens
            self._taken = list(work.answers)
            self._news.notify_all()


def _pieces(request: Request, news: "SimpleQueue[Piece | Exception]") -> Generator[str, None, Completion]:
    texts: list[str] = []
    ids: list[int] = []
    try:
        while True:
            piece = news.get()
            if isinstance(piece, Exception):
                raise piece
            if piece.token is not None:
                ids.append(piece.token)
            if piece.text:
                texts.append(piece.text)
                yield piece.text
            if piece.finish:
                encoded = request.encoded
                text, stopped = "".join(texts), piece.finish == "stop"
                return Completion(text, ids, stopped, len(encoded.ids), encoded.dropped_turns, encoded.thinking)
    finally:
        request.cancel()


def _told(error: Exception) -> Exception:
    """An error as the asker is told it; the text of one that is not ours could hold anything."""
    if isinstance(error, MedicalGPTError):
        return error
    if out_of_memory(error):
        return ServeError("out of memory; ask for fewer or shorter answers at the same time")
    return ServeError(f"the model failed on this request ({type(error).__name__}); the server goes on")
