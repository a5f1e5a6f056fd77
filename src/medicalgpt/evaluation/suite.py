"""Tests run with one model: bundles of items one after another, each kept as soon as it is done, then numbers of the whole."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from medicalgpt.config.evaluation import WRITTEN, NamedTest
from medicalgpt.errors import ContextError
from medicalgpt.evaluation.answering import Answerer
from medicalgpt.evaluation.catalog import FoundTest
from medicalgpt.evaluation.choices import ChoiceScorer, Encoded, Scored
from medicalgpt.evaluation.items import Item, read_examples, read_items
from medicalgpt.evaluation.outcomes import Outcome
from medicalgpt.evaluation.progress import Progress
from medicalgpt.evaluation.prompts import Asking, askings, prompt_of
from medicalgpt.evaluation.safety.openers import request_askings
from medicalgpt.evaluation.safety.requests import Request, read_requests
from medicalgpt.evaluation.settings import Settings
from medicalgpt.evaluation.written.items import read_written

T = TypeVar("T")
Say = Callable[[str], None]
_MOST_NAMED = 5
_ENCODED_AT_ONCE = 512  # items whose token ids are held


@dataclass(frozen=True)
class Taker:
    """Who takes a test: what scores its options, and what writes answers, if anything does."""

    scorer: ChoiceScorer
    answerer: Answerer | None = None


def run_test(found: FoundTest, taker: Taker, settings: Settings, progress: Progress, say: Say) -> list[Outcome]:
    """Outcomes of a test's items in order; those that `progress` has are not computed again."""
    scorer, answerer = taker.scorer, taker.answerer
    test = found.config
    if test.kind in WRITTEN:
        return _written(found, taker, settings, progress, say)
    items = spread(_questions(found), settings.limit)
    if told := _doubled([item for item in items if isinstance(item, Item)]):
        say(f"{test.name}: {told}")
    examples = _examples(found, settings)
    done: list[Outcome] = []
    for start in range(0, len(items), _ENCODED_AT_ONCE):
        part = items[start : start + _ENCODED_AT_ONCE]
        encoded, long = _encoded(part, found, scorer, settings, examples)
        outcomes: dict[int, Outcome] = {n: _outcome(part[n]) for n in long}
        numbers = sorted(encoded)
        for bundle in scorer.bundles([encoded[n] for n in numbers], sharing=bool(examples)):
            mine = [numbers[place] for place in bundle]
            ids = [part[n].id for n in mine]
            kept = progress.find(test.name, ids)
            if kept is None:
                scored = scorer.score([encoded[n] for n in mine])
                kept = [_outcome(part[n], orders) for n, orders in zip(mine, scored)]
                progress.keep(test.name, kept)
            outcomes.update(zip(mine, kept))
        given = answerer.answer(test, part, progress) if answerer is not None else {}
        done += [replace(outcomes[n], given=given.get(part[n].id, ())) for n in range(len(part))]
        say(f"{test.name}: {len(done)} of {len(items)}")
    return done


def _written(found: FoundTest, taker: Taker, settings: Settings, progress: Progress, say: Say) -> list[Outcome]:
    """Outcomes of a test that is written answers and nothing else."""
    assert taker.answerer is not None  # the settings were checked
    items = spread(read_written(found.config, found.files), settings.limit)
    done: list[Outcome] = []
    for start in range(0, len(items), _ENCODED_AT_ONCE):
        part = items[start : start + _ENCODED_AT_ONCE]
        given = taker.answerer.answer(found.config, part, progress)
        done += [Outcome(item.id, (), item.subject, given=given.get(item.id, ())) for item in part]
        say(f"{found.config.name}: {len(done)} of {len(items)}")
    return done


def _questions(found: FoundTest) -> Sequence[Item | Request]:
    read = read_requests if found.config.kind == "requests" else read_items
    return read(found.config, found.files)


def _encoded(
    items: Sequence[Item | Request],
    found: FoundTest,
    scorer: ChoiceScorer,
    settings: Settings,
    examples: dict[str, list[Item]],
) -> tuple[dict[int, list[Encoded]], list[int]]:
    """Items that fit into the context by number, and the numbers of the others."""
    encoded, long = dict[int, list[Encoded]](), list[int]()
    for number, item in enumerate(items):
        try:
            encoded[number] = scorer.encode(_asked(item, found.config, scorer, settings, examples))
        except ContextError:
            long.append(number)
    return encoded, long


def _doubled(items: Sequence[Item]) -> str:
    """In words, items with a wrong option that says the same as the right one; "" where there are none."""
    found = []
    for item in items:
        right = {item.options[place].strip() for place in item.gold}
        if any(text.strip() in right for place, text in enumerate(item.options) if place not in item.gold):
            found.append(item.where)
    if not found:
        return ""
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    places = ", ".join(found[:_MOST_NAMED]) + more
    return f"items whose right option stands among the wrong ones, too, and counts as wrong there: {places}"


def _asked(
    item: Item | Request,
    test: NamedTest,
    scorer: ChoiceScorer,
    settings: Settings,
    examples: Mapping[str, list[Item]],
) -> list[Asking]:
    if isinstance(item, Request):
        return request_askings(item, test, settings.profile, scorer.template)
    prompt, shown = prompt_of(test, settings.profile), examples.get(item.subject, [])
    return askings(item, shown, prompt, test, scorer.template, settings.orders, settings.texts)


def _outcome(item: Item | Request, orders: Sequence[Scored] = ()) -> Outcome:
    if isinstance(item, Request):
        return Outcome(item.id, item.gold, item.subject, list(orders), each=len(item.texts) > 1)
    return Outcome(item.id, item.gold, item.subject, list(orders), item.together)


def _examples(found: FoundTest, settings: Settings) -> dict[str, list[Item]]:
    """Worked examples by subject."""
    prompt = None if found.config.kind == "requests" else prompt_of(found.config, settings.profile)
    if prompt is None or not prompt.few_shot:
        return {}
    return {
        file.subject or "": read_examples(found.config, found.files[file.examples], file.subject, prompt.few_shot)
        for file in found.config.files
        if file.examples is not None
    }


def spread(items: Sequence[T], limit: int | None) -> list[T]:
    """At most `limit` items, evenly spaced from the first on, so that every subject has its share."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[place * len(items) // limit] for place in range(limit)]


def groups_of(tests: Sequence[NamedTest]) -> Iterator[tuple[str, list[str]]]:
    """Groups with the names of their tests."""
    names: dict[str, list[str]] = {}
    for test in tests:
        names.setdefault(test.group, []).append(test.name)
    yield from names.items()
