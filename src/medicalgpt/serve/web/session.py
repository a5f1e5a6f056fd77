"""What one browser tab does: ask, stop, ask again, correct a question, rate. It knows the model, and nothing of Gradio."""

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from queue import Empty, SimpleQueue

from medicalgpt.config.emergency import Emergency
from medicalgpt.data.records import Message
from medicalgpt.errors import BusyError, MedicalGPTError, RenderError, ServeError
from medicalgpt.generate.live.engine import BatchingEngine
from medicalgpt.generate.live.request import Piece, Request
from medicalgpt.generate.prompts import EncodedPrompt, prepare
from medicalgpt.generate.sampling import Sampling
from medicalgpt.rendering.thinking import OPEN
from medicalgpt.rendering.unwanted import UnwantedError, unless
from medicalgpt.serve.web.conversation import Conversation, WebAnswer, WebExchange
from medicalgpt.serve.web.feedback import Feedback
from medicalgpt.serve.web.settings import Settings
from medicalgpt.serve.web.texts import with_emergency
from medicalgpt.serve.web.words import Texts

PAUSE = 0.05
"""Seconds between two updates of the page, at least: a fast model would send the whole answer anew hundreds of times."""

PATIENCE = 1.0
"""Seconds without news after which the page says what it waits for."""

News = Generator[None, None, None]
"""Yields whenever there is something new to show."""


class Session:
    """A conversation and the answer that is being made, if any.

    `status` is the line under the conversation, an error if `failed`. `draft` is the text that belongs into the question
    box; None leaves it as it is. `emergency` is what the user chose, and `texts` name it. `context` is the most tokens of
    prompt and answer, None without a limit.
    """

    def __init__(
        self,
        live: BatchingEngine,
        context: int | None,
        feedback: Feedback | None,
        texts: Texts,
        emergency: Emergency | None = None,
    ) -> None:
        self.live, self.context, self.feedback = live, context, feedback
        self.texts, self.emergency = with_emergency(texts, emergency), emergency
        self.conversation = Conversation()
        self.status, self.failed = "", False
        self.draft: str | None = None
        self._taken = threading.Lock()
        self._stopped = threading.Event()
        self._running: tuple[Request, SimpleQueue[Piece | Exception | None]] | None = None

    @property
    def busy(self) -> bool:
        """Whether an answer is being made."""
        return self._taken.locked()

    def ask(self, question: str, settings: Settings, *, number: int | None = None) -> News:
        """Answer a new question, or one in place of question `number` (from 0) and all that followed it."""
        with self._alone() as alone:
            if not question.strip():
                return
            if not alone:
                last = self.conversation.last
                # Enter twice is one question; another one goes back into its box.
                self.draft = None if last is not None and last.question == question.strip() else question
                return
            if number is not None:
                self.conversation.cut(number)
            self.conversation.exchanges.append(WebExchange(question.strip()))
            self.draft = "" if number is None else None
            yield from self._answer(settings)

    def again(self, settings: Settings) -> News:
        """Another answer to the last question; the earlier ones are kept."""
        with self._alone() as alone:
            if alone and self.conversation.last is not None:
                self.draft = None
                yield from self._answer(settings)

    def stop(self) -> None:
        """End the answer that is being made; what is there of it stays. May be called from any thread."""
        self._stopped.set()
        running = self._running
        if running is not None:
            running[0].cancel()
            running[1].put(None)

    def clear(self) -> None:
        """Forget everything."""
        self.stop()
        self.conversation = Conversation()
        self.draft = None
        self.note("")

    def rate(self, number: int, verdict: bool | None) -> None:
        """Keep a verdict on the answer shown for question `number`; None takes it back."""
        exchange = self.conversation.exchanges[number]
        answer, texts = exchange.answer, self.texts
        if self.feedback is None or answer is None:
            return
        if not answer.complete:
            self.note(texts.not_rated)
            return
        try:
            saved = self.feedback.rate(exchange.answers, answer, verdict)
        except ServeError as error:
            self.note(f"{texts.failed} {error}", failed=True)
            return
        self.note(texts.rated if saved.kept else texts.rating_withdrawn)
        if saved.pairs:
            self.note(texts.paired.format(pairs=saved.pairs))

    def note(self, status: str, failed: bool = False) -> None:
        """Set the line under the conversation."""
        self.status, self.failed = status, failed

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether no other answer is being made in this tab."""
        if not self._taken.acquire(blocking=False):
            self.note(self.texts.still_answering)
            yield False
            return
        try:
            self._stopped.clear()
            yield True
        finally:
            self._taken.release()

    def _answer(self, settings: Settings) -> News:
        """Add an answer to the last question. Clearing the page puts another conversation in place meanwhile."""
        conversation = self.conversation
        exchange = conversation.exchanges[-1]
        before = len(exchange.answers)
        self.note(self.texts.reading)
        yield
        try:
            sampling = settings.sampling(before)
            prompt = conversation.prompt(settings.system.strip() or None)
            encoded = self._prepare(prompt, sampling)
            used = asdict(settings) | {"seed": sampling.seed}
            turns = _read(prompt, encoded)
            answer = WebAnswer(turns, dropped_turns=encoded.dropped_turns, settings=used, opened=encoded.thinking)
            exchange.answers.append(answer)
            exchange.shown = before
            yield from self._stream(answer, encoded, sampling)
            self._report(answer)
            if before and sampling.greedy:
                self.note(f"{self.status} {self.texts.greedy}")
        except UnwantedError:
            self.note(self.texts.stopped)
        except MedicalGPTError as error:
            told = self.texts.busy if isinstance(error, BusyError) else f"{self.texts.failed} {error}"
            self.note(told, failed=True)
        finally:
            self._running = None
            if conversation is not self.conversation:
                self.note("")
            elif not (len(exchange.answers) > before and exchange.answers[-1].text.strip()):
                # A silent answer would only confuse the model in the next turn.
                self.draft = conversation.take_back(before)

    def _prepare(self, prompt: list[Message], sampling: Sampling) -> EncodedPrompt:
        """As `prompts.prepare`, with errors in the page's language."""
        template, room = self.live.engine.template, sampling.max_new_tokens
        try:
            with unless(self._stopped.is_set):
                return prepare(prompt, template, self.context, room)
        except UnwantedError:
            raise
        except RenderError as error:
            raise RenderError(f"{self.texts.not_rendered} {error}") from error
        except ServeError as error:
            limit = (self.context or 0) - room
            if limit < 1:
                raise ServeError(self.texts.no_room.format(room=room, context=self.context)) from error
            fixed = [turn for turn in prompt if turn.role == "system"] + prompt[-1:]
            tokens = len(template.prompt_ids(fixed))
            raise ServeError(self.texts.too_long.format(tokens=tokens, limit=limit, room=room)) from error

    def _stream(self, answer: WebAnswer, encoded: EncodedPrompt, sampling: Sampling) -> News:
        """Let the answer grow until it ends, by itself or not."""
        news: SimpleQueue[Piece | Exception | None] = SimpleQueue()
        request = self.live.submit(encoded, sampling, news.put)
        self._running = request, news
        began = time.monotonic()
        try:
            if self._stopped.is_set():  # before there was anything to stop
                news.put(None)
            while answer.ending is None:
                try:
                    _take(answer, news.get(timeout=PATIENCE))
                    while answer.ending is None and not news.empty():
                        _take(answer, news.get())
                    if answer.tokens:  # it is being written, so nothing is read or waited for any more
                        self.note("")
                except Empty:
                    if not answer.tokens:
                        self.note(self._waiting())
                answer.seconds = time.monotonic() - began
                if answer.ending is None:
                    yield
                    time.sleep(PAUSE)
        finally:
            request.cancel()
            answer.ending = answer.ending or "stopped"

    def _waiting(self) -> str:
        load = self.live.load
        return self.texts.waiting if load.waiting and load.active >= self.live.slots else self.texts.reading

    def _report(self, answer: WebAnswer) -> None:
        texts = self.texts
        if not answer.text.strip():
            self.note(texts.stopped if answer.ending == "stopped" else texts.empty)
            return
        line = {"length": texts.cut_off, "stopped": texts.stopped}.get(answer.ending or "", texts.done)
        rate = answer.tokens / max(answer.seconds, 1e-3)
        told = [line.format(tokens=answer.tokens, rate=f"{rate:.1f}")]
        if answer.dropped_turns:
            told.append(texts.dropped.format(turns=answer.dropped_turns))
        self.note(" ".join(told))


def _take(answer: WebAnswer, item: Piece | Exception | None) -> None:
    """Add what came to an answer; raises what ended it."""
    if item is None:
        answer.ending = "stopped"
    elif isinstance(item, Exception):
        answer.ending = "failed"
        raise item
    else:
        if item.text and not answer.text and answer.opened:
            answer.text = f"{OPEN}\n"
        answer.text += item.text
        answer.tokens += item.token is not None
        answer.ending = item.finish


def _read(prompt: list[Message], encoded: EncodedPrompt) -> tuple[Message, ...]:
    """The turns that fitted into the context."""
    head = 1 if prompt[0].role == "system" else 0
    return (*prompt[:head], *prompt[head + encoded.dropped_turns :])
