"""Answers to prompts, as trees: the prompt once, its completions as branches."""

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from medicalgpt.config.rl import RolloutConfig
from medicalgpt.errors import RunError
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling
from medicalgpt.rewards.answers import Answer, Group, PromptRow
from medicalgpt.training.rl.data_answers import DataAnswers


@dataclass
class Rollouts:
    """The groups of one process, with new tokens and seconds they took."""

    groups: list[Group]
    tokens: int
    seconds: float


@runtime_checkable
class Scoring(Protocol):
    """A backend that says how likely its tokens were: `logps` of its last run, cut like the answers."""

    logps: Sequence[Sequence[Sequence[float]]]


class RolloutSampler:
    """Draws completions with the engine that also serves."""

    def __init__(
        self,
        engine: Engine,
        config: RolloutConfig,
        seed: int,
        renew: Callable[[int], None] | None = None,
        whole: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`renew` brings the weights after that many updates to whoever draws, where that is not this process; `whole` puts
        those that several processes hold together while this one draws, and all of them have to come."""
        self.engine, self.config, self.seed, self.whole = engine, config, seed, whole
        self.renew = renew or (lambda update: None)
        self.data: DataAnswers | None = None

    def sample(self, rows: Sequence[PromptRow], first: int, update: int) -> Rollouts:
        """Completions of an update. `first` is the place of the first row among all prompts of the update.

        An answer depends on the seed, the update and its place, not on the number of processes. With `data` some prompts get its
        answers.
        """
        c = self.config
        seed = int.from_bytes(hashlib.sha256(f"{self.seed}:{update}".encode()).digest()[:8], "big")
        sampling = Sampling(
            c.max_new_tokens, c.temperature, c.top_p, c.top_k, seed=seed, min_new_tokens=c.min_new_tokens
        )
        if self.data is None:
            return self._run(rows, sampling, c.completions, first)
        taken = [self.data.takes(update, first + at) for at in range(len(rows))]
        drawn = [row for row, is_taken in zip(rows, taken) if not is_taken]
        rolled = self._run(drawn, sampling, c.completions, first - self.data.taken_before(update, first))
        groups = iter(rolled.groups)
        every = [
            Group(row, [self.data.answer(row)] * c.completions) if is_taken else next(groups)
            for row, is_taken in zip(rows, taken)
        ]
        return Rollouts(every, rolled.tokens, rolled.seconds)

    def greedy(self, rows: Sequence[PromptRow]) -> Rollouts:
        """One most likely answer each, for held-out numbers."""
        return self._run(rows, Sampling(self.config.max_new_tokens), 1, 0)

    def _run(self, rows: Sequence[PromptRow], sampling: Sampling, n: int, first: int) -> Rollouts:
        start = time.perf_counter()
        ids = [list(row.ids) for row in rows]
        with self.whole():
            found = (
                []
                if not ids
                else self.engine.complete(ids, sampling, n=n, batch_size=self.config.batch_size, first_index=first)
            )
        backend = self.engine.backend
        scored = backend.logps if isinstance(backend, Scoring) else [[()] * len(answers) for answers in found]
        groups = [
            Group(row, [self._answer(ids, logps) for ids, logps in zip(answers, own)])
            for row, answers, own in zip(rows, found, scored)
        ]
        tokens = sum(len(a.ids) for g in groups for a in g.answers)
        return Rollouts(groups, tokens, time.perf_counter() - start)

    def _answer(self, ids: Sequence[int], logps: Sequence[float]) -> Answer:
        stopped = bool(ids) and ids[-1] in self.engine.stop_ids
        return Answer(tuple(ids), self.engine.text(ids[:-1] if stopped else ids), stopped, tuple(logps))


def require_answers(said: Sequence[bool], update: int) -> None:
    """Raises RunError when none of the answers says anything: nothing can be learned from them."""
    if not any(said):
        raise RunError(
            f"update {update}: all {len(said)} answers are empty (the model stops at once). Start from a model that "
            "answers (SFT), raise rollout.min_new_tokens, or lower train.learning_rate"
        )
