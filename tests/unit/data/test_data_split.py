"""The split: the same question is never on both sides, whatever the order of rows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medicalgpt.data.records import Dialogue, Document, Message, Preference, Record, Source
from medicalgpt.data.split import choose_eval, group_key, leaks

SOURCE = Source("f", 1)


def _dialogue(*texts: str, system: str = "") -> Dialogue:
    roles = ["user", "assistant"] * len(texts)
    turns = [Message(role, text) for role, text in zip(roles, texts)]  # type: ignore[arg-type]
    return Dialogue((*([Message("system", system)] if system else []), *turns), SOURCE)


def _preference(prompt: str) -> Preference:
    return Preference((Message("user", prompt),), (Message("assistant", "a"),), (Message("assistant", "b"),), SOURCE)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_dialogue("What is asthma?", "x"), _dialogue("  what is ASTHMA ", "y")),
        (_dialogue("高血压能吃党参吗？", "x"), _dialogue("高血压 能吃党参吗", "y", "again", "z")),
        (_dialogue("ｗｈａｔ　ｎｏｗ！", "x"), _dialogue("what now", "y", system="s")),
        (_dialogue("Straße", "x"), _dialogue("STRASSE", "x")),
        (_dialogue("What is asthma?", "x"), _preference("what is asthma")),
        (Document("A b.\n", SOURCE), Document("a B", SOURCE)),
    ],
)
def test_records_that_ask_the_same_share_a_key(one: Record, other: Record) -> None:
    assert group_key(one) == group_key(other)
    assert len(group_key(one)) == 16
    assert int(group_key(one), 16) >= 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (_dialogue("What is asthma?", "x"), _dialogue("What is angina?", "x")),
        (_dialogue("pH < 7", "x"), _dialogue("pH > 7", "x")),
        (_dialogue("???", "x"), _dialogue("!", "x")),
        (Document("a", SOURCE), Document("b", SOURCE)),
    ],
)
def test_records_that_ask_something_else_do_not(one: Record, other: Record) -> None:
    assert group_key(one) != group_key(other)


def test_every_user_turn_of_a_preference_prompt_counts() -> None:
    turns = (Message("user", "one"), Message("assistant", "r"), Message("user", "two"))
    answers = (Message("assistant", "a"),), (Message("assistant", "b"),)
    assert group_key(Preference(turns, *answers, SOURCE)) != group_key(Preference(turns[:1], *answers, SOURCE))
    system = (Message("system", "s"), *turns)
    assert group_key(Preference(turns, *answers, SOURCE)) == group_key(Preference(system, *answers, SOURCE))


KEYS = st.lists(st.integers(0, 40).map(lambda i: f"{i:016x}"), max_size=120)


@given(KEYS, st.floats(0, 0.999), st.integers(0, 2**32), st.randoms())
@settings(max_examples=200, deadline=None)
def test_choice_has_the_right_size_and_no_order(keys: list[str], fraction: float, seed: int, random: object) -> None:
    chosen = choose_eval(keys, fraction, seed)
    groups = len(set(keys))
    assert chosen <= set(keys)
    if fraction == 0 or groups < 2:
        assert chosen == set()
    else:
        assert 1 <= len(chosen) < groups
        assert len(chosen) in (round(fraction * groups), 1, groups - 1)
    shuffled = [*keys, *keys[::2]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert choose_eval(shuffled, fraction, seed) == chosen


@given(st.lists(st.text(max_size=6), min_size=1, max_size=60), st.floats(0.01, 0.9), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_a_question_is_never_on_both_sides(questions: list[str], fraction: float, seed: int) -> None:
    asked = [q for q in questions if q.strip()]
    records = [_dialogue(text, "a") for q in asked for text in (q, f" {q.upper()}", q + "?")]
    keys = [group_key(r) for r in records]
    held_out = choose_eval(keys, fraction, seed)
    train = [k for k in keys if k not in held_out]
    assert leaks(train, held_out) == 0
    for q in asked:
        plain, asking = group_key(_dialogue(q, "a")), group_key(_dialogue(" " + q, "b"))
        assert (plain in held_out) == (asking in held_out)


def test_more_may_be_held_out_but_none_comes_back() -> None:
    keys = [f"{i:016x}" for i in range(200)]
    assert choose_eval(keys, 0.1, 7) < choose_eval(keys, 0.2, 7)
    assert len(choose_eval(keys, 0.1, 7)) == 20
    assert choose_eval(keys, 0.1, 7) != choose_eval(keys, 0.1, 8)
    assert choose_eval(["a", "b"], 0.01, 0) in ({"a"}, {"b"})


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_a_fraction_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction is"):
        choose_eval(["a", "b"], fraction, 0)


def test_leaks_count_distinct_held_out_questions() -> None:
    assert leaks(["a", "a", "b"], ["a", "c", "a"]) == 1
