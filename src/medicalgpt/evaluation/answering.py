"""Greedy answers to the questions of a test, beside what is likely to be answered."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medicalgpt.config.evaluation import NamedTest
from medicalgpt.data.records import Message
from medicalgpt.errors import ContextError, RenderError, RunError
from medicalgpt.evaluation.items import Item
from medicalgpt.evaluation.outcomes import Outcome
from medicalgpt.evaluation.progress import Progress
from medicalgpt.evaluation.prompts import user_turn
from medicalgpt.evaluation.readings import RUBRIC, Given, answer_hash, read_given, repeated_share
from medicalgpt.evaluation.safety.requests import Request
from medicalgpt.evaluation.written.grading import Grade, Grader
from medicalgpt.evaluation.written.items import Written
from medicalgpt.evaluation.written.nearness import nearness
from medicalgpt.generate.engine import Completion, Engine
from medicalgpt.generate.prompts import EncodedPrompt
from medicalgpt.generate.sampling import Sampling
from medicalgpt.phi.kinds import holds_mask
from medicalgpt.refusals.conduct import conduct
from medicalgpt.refusals.phrases import language_of
from medicalgpt.rewards.named import Reply
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.hashes import hash_file

Question = Item | Request | Written
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
        grader: who grades answers by rubrics; only tests with such need one.

    Raises:
        ContextError: no prompt at all would have room beside the answer.
    """

    def __init__(self, engine: Engine, how: Answering, texts: bool, grader: Grader | None = None) -> None:
        self.engine, self.how, self.texts, self.grader = engine, how, texts, grader
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
        """None where one of them and its answer do not fit into the context together: no turn is left out."""
        try:
            found = [self.engine.prepare(turns, self.sampling) for turns in _asked(test, question)]
        except ContextError:
            return []
        except RenderError as error:
            raise RenderError(f"{question.where}: {error}") from None
        return [] if any(prompt.dropped_turns for prompt in found) else found

    def _written(self, part: Sequence[tuple[Question, list[EncodedPrompt]]]) -> list[Outcome]:
        """Answers, graded where they are to be: they are kept together, so no answer has to be kept in words for its grade."""
        prompts = [prompt for _, mine in part for prompt in mine]
        done = iter(self.engine.generate(prompts, self.sampling, batch_size=self.how.batch_size))
        answered = [(question, [next(done) for _ in mine]) for question, mine in part]
        found = [self._outcome(question, mine) for question, mine in answered]
        asked = [(q, _seen(mine[0])) for q, mine in answered if isinstance(q, Written) and q.criteria]
        if not asked:
            return found
        assert self.grader is not None  # whoever runs a test with rubrics has one
        grades = {question.id: one for (question, _), one in zip(asked, self.grader.grade(asked))}
        return [_graded(outcome, grades.get(outcome.id)) for outcome in found]

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
            masks=holds_mask(one.text),
        )
        match question:
            case Item():
                picked = read_given(one.text, question.options, question.together, opened=one.thinking)
                return replace(given, picked=picked)
            case Request():
                return replace(given, did=conduct(_seen(one)), language=language_of(_seen(one)))
            case Written():
                near = nearness(_seen(one), question.references) if not question.criteria else {}
                return replace(given, marks=near)


def _seen(one: Completion) -> str:
    """What a reader gets to see of an answer."""
    return Reply(one.text, one.thinking).answer


def _graded(outcome: Outcome, grade: Grade | None) -> Outcome:
    if grade is None:
        return outcome
    marked = replace(outcome.given[0], marks={RUBRIC: grade.score}, tags=grade.tags, met=grade.met)
    return replace(outcome, given=(marked,))


def _asked(test: NamedTest, question: Question) -> list[list[Message]]:
    """The turns of each answer that is wanted."""
    if isinstance(question, Item):
        return [[user_turn(question, question.options, test)]]
    if isinstance(question, Written):
        return [list(question.turns)]
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
