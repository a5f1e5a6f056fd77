"""How the live worker gets answers out of a backend: row by row with the decoder, batch by batch with any other."""

import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

from medicalgpt.errors import GrammarError, ServeError
from medicalgpt.generate.backends.base import Backend
from medicalgpt.generate.backends.decoder.backend import Decoder
from medicalgpt.generate.backends.decoder.pool import SequenceState
from medicalgpt.generate.live.request import PendingAnswer
from medicalgpt.generate.sampling import Sampling


class PooledWork:
    """With the decoder: new answers enter between two tokens of the others."""

    def __init__(self, backend: Decoder, slots: int) -> None:
        self.backend, self.slots = backend, slots
        self._rows: dict[int, tuple[SequenceState, PendingAnswer]] = {}
        self._next = 0
        self._held = ExitStack()

    def __enter__(self) -> Self:
        self._held.enter_context(self.backend.lent())
        self._new_pool()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._held.close()

    def _new_pool(self) -> None:
        self._pool = self.backend.pool(self.slots, self._ends)

    def _ends(self, number: int, token: int) -> bool:
        row, answer = self._rows[number]
        answer.tell_prompt(row.prompt_scores)
        return answer.push(token, row.scores)

    @property
    def answers(self) -> list[PendingAnswer]:
        """Those that are not complete."""
        return [answer for _, answer in self._rows.values()]

    @property
    def active(self) -> int:
        """How many of them are under way."""
        return len(self._pool.active)

    def take(self, arrived: Sequence[PendingAnswer]) -> None:
        """Let new answers wait for a slot, and take out those that nobody wants any more."""
        for answer in arrived:
            request = answer.request
            seed, prompt = random.Random(request.seeds[answer.choice]), request.encoded.ids
            try:
                grammar = self.backend.grammar(prompt, request.sampling)
            except ServeError as error:
                request.fail(error)
                continue
            row = SequenceState(
                self._next, prompt, seed, request.sampling, request.top, grammar=grammar, echo=request.echo
            )
            self._rows[self._next] = row, answer
            self._pool.add([row])
            self._next += 1
        for gone in [n for n, (_, answer) in self._rows.items() if answer.request.ended.is_set()]:
            self._pool.discard(self._rows.pop(gone)[0])

    def step(self) -> int:
        """One token for every answer under way; gives their number."""
        if not self._pool.busy:
            return 0
        done = self._pool.step()
        tokens = len(self._pool.active) + len(done)
        for row in done:
            answer = self._rows.pop(row.number)[1]
            if row.grammar is not None and row.grammar.problem is not None:
                answer.request.fail(GrammarError(row.grammar.problem))
            else:
                answer.tell_prompt(row.prompt_scores)
                stopped = row.tokens[-1] in self.backend.stop_ids
                answer.finish(stopped, (row.tokens[-1], row.scores[-1]) if stopped and row.scores else None)
        if not self._pool.busy:  # the memory of long texts is given back
            self._new_pool()
        return tokens

    def give_up(self) -> list[PendingAnswer]:
        """After an error: all answers, none of which goes on."""
        lost = self.answers
        self._rows.clear()
        self._new_pool()
        return lost


class BatchedWork:
    """With other backends: the answers that wait and have equal settings are made together, start to end."""

    def __init__(self, backend: Backend, slots: int) -> None:
        self.backend, self.slots = backend, slots
        self.answers: list[PendingAnswer] = []
        self._batch: list[PendingAnswer] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def take(self, arrived: Sequence[PendingAnswer]) -> None:
        """Let new answers wait, drop those that nobody wants any more, and choose the next batch."""
        self.answers = [a for a in [*self.answers, *arrived] if not a.request.ended.is_set()]
        if self.answers:
            rule = _rule(self.answers[0])  # of the one that has waited longest
            self._batch = [answer for answer in self.answers if _rule(answer) == rule][: self.slots]

    @property
    def active(self) -> int:
        """How many answers are under way."""
        return len(self._batch)

    def step(self) -> int:
        """Make the whole batch; gives the number of its tokens."""
        batch = self._batch
        if not batch:
            return 0
        prompts = [answer.request.encoded.ids for answer in batch]
        seeds = [[answer.request.seeds[answer.choice]] for answer in batch]
        found = self.backend.run(
            prompts,
            batch[0].request.sampling,
            seeds,
            batch_size=self.slots,
            ends=lambda number, token: batch[number].push(token),
        )
        for answer, (ids,) in zip(batch, found):
            answer.finish(bool(ids) and ids[-1] in self.backend.stop_ids)
        self.answers = [answer for answer in self.answers if answer not in batch]
        self._batch = []
        return sum(len(ids) for (ids,) in found)

    def give_up(self) -> list[PendingAnswer]:
        """After an error: the answers of the batch, none of which goes on. Those that wait may ask for what succeeds."""
        lost, self._batch = self._batch, []
        self.answers = [answer for answer in self.answers if answer not in lost]
        return lost


def _rule(answer: PendingAnswer) -> Sampling:
    """Settings that a batch must share; seeds are each answer's own."""
    return replace(answer.request.sampling, seed=0)
