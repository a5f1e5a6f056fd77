"""Greedy answers to the questions of a test, beside what is likely to be answered."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medicalgpt.config.evaluation import NamedTest
from medicalgpt.data.records import Message
from medicalgpt.errors import ContextError, RunError
from medicalgpt.evaluation.items import Item
from medicalgpt.evaluation.outcomes import Outcome
from medicalgpt.evaluation.progress import Progress
from medicalgpt.evaluation.prompts import user_turn
from medicalgpt.evaluation.readings import Given, answer_hash, read_given, repeated_share
from medicalgpt.evaluation.safety.requests import Request
from medicalgpt.generate.engine import Completion, Engine
from medicalgpt.generate.prompts import EncodedPrompt
from medicalgpt.generate.sampling import Sampling
from medicalgpt.refusals.conduct import conduct
from medicalgpt.refusals.phrases import language_of
from medicalgpt.rewards.named import Reply
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.hashes import hash_file

Question = Item | Request
_AT_ONCE = 4
"""Batches whose answers are kept together: they are written whole or again, so that batches stay the same."""


@dataclass(frozen=True)
class Answering:
    """How answers are written: at most so many tokens, so many at once."""

    max_new_tokens: int = 256
    batch_size: int = 8


class Answerer:
    """Writes answers with a model that was opened here.

    Args:
        texts: keep what was written, for `save_answers`.

    Raises:
        ContextError: no prompt at all would have room beside the answer.
    """

    def __init__(self, engine: Engine, how: Answering, texts: bool) -> None:
        self.engine, self.how, self.texts = engine, how, texts
        self.sampling = Sampling(max_new_tokens=how.max_new_tokens)
        engine.prepare("?", self.sampling)

    def answer(
        self, test: NamedTest, questions: Sequence[Question], progress: Progress
    ) -> dict[str, tuple[Given, ...]]:
        """Answers by the questions' ids, those that `progress` has read from there; questions without room for one have none."""
        asked = [(one, prompts) for one in questions if (prompts := self._prompts(test, one))]
        found: dict[str, tuple[Given, ...]] = {}
        size = _AT_ONCE * self.how.batch_size
        for start in range(0, len(asked), size):
            part = asked[start : start + size]
            name = f"{test.name} answers"
            kept = progress.find(name, [one.id for one, _ in part])
            if kept is None:
                kept = self._written(part)
                progress.keep(name, kept)
            found |= {outcome.id: outcome.given for outcome in kept}
        return found

    def _prompts(self, test: NamedTest, question: Question) -> list[EncodedPrompt]:
        """None where one of them and its answer do not fit into the context together."""
        try:
            return [self.engine.prepare(turns, self.sampling) for turns in _asked(test, question)]
        except ContextError:
            return []

    def _written(self, part: Sequence[tuple[Question, list[EncodedPrompt]]]) -> list[Outcome]:
        prompts = [prompt for _, mine in part for prompt in mine]
        done = iter(self.engine.generate(prompts, self.sampling, batch_size=self.how.batch_size))
        return [self._outcome(question, [next(done) for _ in mine]) for question, mine in part]

    def _outcome(self, question: Question, done: Sequence[Completion]) -> Outcome:
        given = tuple(self._given(question, one) for one in done)
        return Outcome(question.id, question.gold, question.subject, given=given)

    def _given(self, question: Question, one: Completion) -> Given:
        written = [token for token in one.token_ids if token not in self.engine.stop_ids]
        given = Given(
            one.stopped,
            repeated_share(written),
            len(one.token_ids),
            len(one.text),
            answer_hash(one.text),
            one.text if self.texts else None,
        )
        if isinstance(question, Item):
            return replace(given, picked=read_given(one.text, question.options, question.together, opened=one.thinking))
        answer = Reply(one.text, one.thinking).answer
        return replace(given, did=conduct(answer), language=language_of(answer))


def _asked(test: NamedTest, question: Question) -> list[list[Message]]:
    """The turns of each answer that is wanted."""
    if isinstance(question, Item):
        return [[user_turn(question, question.options, test)]]
    return [[Message("user", text)] for text in question.texts]


def require_free(path: Path, earlier: str | None) -> None:
    """Raises RunError where answers cannot be saved at `path`, or a file lies there that is not the one of `earlier` (its
    hash): found out before hours of answering, and nothing of anybody's is overwritten."""
    if not path.parent.is_dir():
        raise RunError(f"{path}: there is no folder {path.parent}; make it, or name another file for the answers")
    if path.exists() and (path.is_dir() or earlier is None or hash_file(path) != earlier):
        raise RunError(f"{path} exists and is not from this evaluation; name another file for the answers, or move it")


def save_answers(path: Path, tests: Mapping[str, Sequence[Outcome]]) -> str:
    """All answers in words, a JSON line each (of a pair two, in order), readable by the owner alone; gives the file's hash.

    Raises:
        RunError: the file cannot be written.
    """
    lines = [
        json.dumps({"test": name, "id": o.id, "answer": given.text}, ensure_ascii=False) + "\n"
        for name, outcomes in tests.items()
        for o in outcomes
        for given in o.given
    ]
    write_text(path, "".join(lines))
    return hash_file(path)
