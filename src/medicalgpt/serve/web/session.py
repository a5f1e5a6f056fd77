"""What one browser tab does: ask, stop, ask again, correct a question, rate, compare, keep. It knows the models, and nothing
of Gradio.
"""

import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from queue import Empty, SimpleQueue

from medicalgpt.config.emergency import Emergency
from medicalgpt.data.records import Message
from medicalgpt.errors import BusyError, MedicalGPTError, RenderError, ServeError
from medicalgpt.generate.live.request import Piece, Request
from medicalgpt.generate.prompts import EncodedPrompt, prepare
from medicalgpt.generate.sampling import Sampling
from medicalgpt.language import translated
from medicalgpt.rendering.thinking import OPEN
from medicalgpt.rendering.unwanted import UnwantedError, unless
from medicalgpt.serve.web.conversation import Conversation, WebAnswer, WebExchange
from medicalgpt.serve.web.feedback import Feedback
from medicalgpt.serve.web.kept import KeptConversations
from medicalgpt.serve.web.served import ServedModel, chosen_of
from medicalgpt.serve.web.settings import Settings
from medicalgpt.serve.web.texts import with_emergency
from medicalgpt.serve.web.trial import Trial
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
    box; None leaves it as it is. `emergency` is what the user chose, and `texts` name it. `chosen` models answer: one of
    them, or two and three in a blind comparison, which is `trial` until it is judged. `kept_as` is the conversation's name
    in the folder of kept ones, None while it is not kept; `deleting` is one that was asked to be deleted, and not yet again;
    `listed` is how many the last search found.

    Args:
        models: those that can be chosen, the first of them to begin with.
        feedback, kept: where ratings and conversations go; None: nothing is written.
    """

    def __init__(
        self,
        models: Sequence[ServedModel],
        feedback: Feedback | None,
        texts: Texts,
        emergency: Emergency | None = None,
        kept: KeptConversations | None = None,
    ) -> None:
        self.models, self.feedback, self.kept = models, feedback, kept
        self.chosen = [models[0]]
        self.texts, self.emergency = with_emergency(texts, emergency), emergency
        self.conversation = Conversation()
        self.trial: Trial | None = None
        self.kept_as: str | None = None
        self.deleting: str | None = None
        self.listed = 0
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
            if self._unfit(judged=number is not None):
                self.draft = question if number is None else None
                return
            if number is not None:
                self.trial = None
                self.conversation.cut(number)
            self.conversation.exchanges.append(WebExchange(question.strip()))
            self.draft = "" if number is None else None
            yield from self._answer(settings)

    def again(self, settings: Settings) -> News:
        """Another answer to the last question; the earlier ones are kept."""
        with self._alone() as alone:
            if alone and self.conversation.last is not None and not self._unfit():
                self.draft = None
                yield from self._answer(settings)

    def choose(self, names: Sequence[str]) -> None:
        """Say which models answer from the next question on."""
        self.chosen = chosen_of(self.models, names)
        self.note("")

    def _unfit(self, judged: bool = False) -> bool:
        """Whether a comparison must be judged first (unless it is `judged` or dropped), or no model is chosen; says so."""
        if self.trial is not None and not judged:
            self.note(self.texts.judge_first, failed=True)
        elif not self.chosen:
            self.note(self.texts.choose_model, failed=True)
        else:
            return False
        return True

    def save(self) -> None:
        """Write what is kept of this conversation anew; nothing where it is not to be kept."""
        if self.kept is None or self.kept_as is None or not self.conversation.exchanges:
            return
        try:
            self.kept.save(self.kept_as, self.conversation)
        except ServeError as error:
            self.note(self.texts.went_wrong(error), failed=True)

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
        self.conversation, self.trial, self.kept_as = Conversation(), None, None
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
            self.note(texts.went_wrong(error), failed=True)
            return
        self.note(texts.rated if saved.kept else texts.rating_withdrawn)
        if saved.pairs:
            self.note(texts.paired.format(pairs=saved.pairs))
        self.save()

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
        """Add an answer to the last question, or begin a comparison. Clearing the page puts another conversation in place
        meanwhile.
        """
        conversation = self.conversation
        exchange = conversation.exchanges[-1]
        before = len(exchange.answers)
        trial = self.trial = Trial.of(exchange, self.chosen) if len(self.chosen) > 1 else None
        given = exchange.answers if trial is None else trial.answers
        self.note(self.texts.reading)
        yield
        try:
            sampling = settings.sampling(before)
            prompt = conversation.prompt(settings.system.strip() or None)
            for model in self.chosen if trial is None else trial.models:
                yield from self._ask_one(model, prompt, replace(settings, seed=sampling.seed), sampling, given)
                exchange.shown = before
                if given[-1].ending == "stopped":
                    break
            self._report(given[-1])
            if before and sampling.greedy and trial is None:
                self.note(f"{self.status} {self.texts.greedy}")
        except UnwantedError:
            self.note(self.texts.stopped)
        except MedicalGPTError as error:
            told = self.texts.busy if isinstance(error, BusyError) else self.texts.went_wrong(error)
            self.note(told, failed=True)
        finally:
            self._running = None
            self._settle(conversation, exchange, before)

    def _settle(self, conversation: Conversation, exchange: WebExchange, before: int) -> None:
        """After an answer, or all of a comparison, however it ended."""
        trial = self.trial
        if conversation is not self.conversation:
            self.note("")
        elif trial is not None and _judgeable(trial):
            self.note(self.texts.judge)
        elif trial is not None or not (len(exchange.answers) > before and exchange.answers[-1].text.strip()):
            # A silent answer would only confuse the model in the next turn; half a comparison compares nothing.
            self.trial = None
            self.draft = conversation.take_back(before)
        else:
            self.save()

    def _ask_one(
        self,
        model: ServedModel,
        prompt: list[Message],
        settings: Settings,
        sampling: Sampling,
        given: list[WebAnswer],
    ) -> News:
        """Add a model's answer to those `given`."""
        encoded = self._prepare(model, prompt, sampling)
        answer = WebAnswer(
            _read(prompt, encoded),
            dropped_turns=encoded.dropped_turns,
            settings=asdict(settings),
            opened=encoded.thinking,
            model=model.name,
            version=model.info.version,
        )
        given.append(answer)
        yield from self._stream(model, answer, encoded, sampling)

    def _prepare(self, model: ServedModel, prompt: list[Message], sampling: Sampling) -> EncodedPrompt:
        """As `prompts.prepare`, with errors in the page's language."""
        template, context, room = model.live.engine.template, model.context, sampling.max_new_tokens
        try:
            with unless(self._stopped.is_set):
                return prepare(prompt, template, context, room)
        except UnwantedError:
            raise
        except RenderError as error:
            told = translated(str(error), language=self.texts.language)
            raise RenderError(f"{self.texts.not_rendered} {told}") from error
        except ServeError as error:
            limit = (context or 0) - room
            if limit < 1:
                raise ServeError(self.texts.no_room.format(room=room, context=context)) from error
            fixed = [turn for turn in prompt if turn.role == "system"] + prompt[-1:]
            tokens = len(template.prompt_ids(fixed))
            raise ServeError(self.texts.too_long.format(tokens=tokens, limit=limit, room=room)) from error

    def _stream(self, model: ServedModel, answer: WebAnswer, encoded: EncodedPrompt, sampling: Sampling) -> News:
        """Let the answer grow until it ends, by itself or not."""
        news: SimpleQueue[Piece | Exception | None] = SimpleQueue()
        request = model.live.submit(encoded, sampling, news.put)
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
                        self.note(self._waiting(model))
                answer.seconds = time.monotonic() - began
                if answer.ending is None:
                    yield
                    time.sleep(PAUSE)
        finally:
            request.cancel()
            answer.ending = answer.ending or "stopped"

    def _waiting(self, model: ServedModel) -> str:
        load = model.live.load
        return self.texts.waiting if load.waiting and load.active >= model.live.slots else self.texts.reading

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


def _judgeable(trial: Trial) -> bool:
    """Whether every model has come to an end of its own, and one of them said something."""
    ended = all(answer.ending in ("stop", "length") for answer in trial.answers)
    return len(trial.answers) == len(trial.models) and ended and any(answer.text.strip() for answer in trial.answers)


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
