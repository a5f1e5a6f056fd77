"""Greedy answers to the items of a test, beside the likelihoods of their options."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medicalgpt.config.evaluation import NamedTest
from medicalgpt.errors import ContextError, RunError
from medicalgpt.evaluation.items import Item
from medicalgpt.evaluation.outcomes import Outcome
from medicalgpt.evaluation.progress import Progress
from medicalgpt.evaluation.prompts import user_turn
from medicalgpt.evaluation.readings import Given, answer_hash, read_given, repeated_share
from medicalgpt.generate.engine import Completion, Engine
from medicalgpt.generate.prompts import EncodedPrompt
from medicalgpt.generate.sampling import Sampling
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.hashes import hash_file

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

    def answer(self, test: NamedTest, items: Sequence[Item], progress: Progress) -> dict[str, Given]:
        """Answers by the items' ids, those that `progress` has read from there; items without room for one have none."""
        prompts = [(item, prompt) for item in items if (prompt := self._prompt(test, item)) is not None]
        found: dict[str, Given] = {}
        size = _AT_ONCE * self.how.batch_size
        for start in range(0, len(prompts), size):
            part = prompts[start : start + size]
            name = f"{test.name} answers"
            kept = progress.find(name, [item.id for item, _ in part])
            if kept is None:
                done = self.engine.generate([p for _, p in part], self.sampling, batch_size=self.how.batch_size)
                kept = [self._outcome(item, one) for (item, _), one in zip(part, done, strict=True)]
                progress.keep(name, kept)
            found |= {outcome.id: outcome.answer for outcome in kept if outcome.answer is not None}
        return found

    def _prompt(self, test: NamedTest, item: Item) -> EncodedPrompt | None:
        """None where question and answer do not fit into the context together."""
        try:
            return self.engine.prepare([user_turn(item, item.options, test)], self.sampling)
        except ContextError:
            return None

    def _outcome(self, item: Item, one: Completion) -> Outcome:
        picked = read_given(one.text, item.options, item.together, opened=one.thinking)
        written = [token for token in one.token_ids if token not in self.engine.stop_ids]
        given = Given(
            picked,
            one.stopped,
            repeated_share(written),
            len(one.token_ids),
            len(one.text),
            answer_hash(one.text),
            one.text if self.texts else None,
        )
        return Outcome(item.id, item.gold, item.subject, [], item.together, given)


def require_free(path: Path, earlier: str | None) -> None:
    """Raises RunError where answers cannot be saved at `path`, or a file lies there that is not the one of `earlier` (its
    hash): found out before hours of answering, and nothing of anybody's is overwritten."""
    if not path.parent.is_dir():
        raise RunError(f"{path}: there is no folder {path.parent}; make it, or name another file for the answers")
    if path.exists() and (path.is_dir() or earlier is None or hash_file(path) != earlier):
        raise RunError(f"{path} exists and is not from this evaluation; name another file for the answers, or move it")


def save_answers(path: Path, tests: Mapping[str, Sequence[Outcome]]) -> str:
    """All answers in words, a JSON line each, readable by the owner alone; gives the file's hash. Raises RunError."""
    lines = [
        json.dumps({"test": name, "id": o.id, "answer": o.answer.text}, ensure_ascii=False) + "\n"
        for name, outcomes in tests.items()
        for o in outcomes
        if o.answer is not None
    ]
    write_text(path, "".join(lines))
    return hash_file(path)
