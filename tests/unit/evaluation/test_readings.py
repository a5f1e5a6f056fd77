"""Written answers: which options they name, in four ways, and never a guess."""

import pytest

from medicalgpt.evaluation.readings import Given, is_right, masked, partial, read_given, repeated_share

OPTIONS = ("Aspirin", "Low-dose aspirin", "Rest", "Warfarin")


def letters(answer: str, options: tuple[str, ...] = OPTIONS, together: bool = False, opened: bool = False) -> list[str]:
    found = read_given(answer, options, together, opened=opened)
    return ["".join("ABCDEFGHIJ"[place] for place in found[name]) for name in ("strict", "first", "last", "text")]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("B", ["B", "B", "B", ""]),
        ("（Ｃ）。", ["C", "C", "C", ""]),
        ("b.", ["B", "B", "B", ""]),
        ("**D**", ["D", "D", "D", ""]),
        ("The answer is A. No, wait: the answer is D.", ["", "A", "D", ""]),
        ("D. Warfarin", ["", "D", "D", "D"]),
        ("I would give warfarin.", ["", "", "", "D"]),
        # A text within a longer one is not named by it, unless it stands elsewhere, too; then two are named, so none is.
        ("Low-dose aspirin.", ["", "", "", "B"]),
        ("Aspirin, not low-dose aspirin.", ["", "", "", ""]),
        # The question's options written out again say nothing.
        ("A. Aspirin\nB. Low-dose aspirin\nC. Rest\nD. Warfarin", ["", "", "", ""]),
        ("Let's see. Vitamin B is no option.", ["", "", "", ""]),
        ("E", ["", "", "", ""]),  # four options only
        ("The answer is A and C.", ["", "", "", ""]),  # one is right
        ("arrest", ["", "", "", ""]),  # "rest" is a part of a word
        ("<think>The answer is A.</think>The answer is C.", ["", "C", "C", ""]),
        ("<think>The answer is A.", ["", "", "", ""]),  # never came to an answer
        ("", ["", "", "", ""]),
    ],
)
def test_what_an_answer_names(answer: str, found: list[str]) -> None:
    assert letters(answer) == found


def test_a_prompt_that_opened_the_thoughts() -> None:
    assert letters("The answer is A.</think>C", opened=True) == ["C", "C", "C", ""]
    assert letters("The answer is A.", opened=True) == ["", "", "", ""]


def test_several_right_options() -> None:
    assert letters("A、C", together=True) == ["AC", "AC", "AC", ""]
    assert letters("答案是 ACD", together=True) == ["", "ACD", "ACD", ""]
    assert letters("Rest and warfarin.", together=True) == ["", "", "", "CD"]
    assert is_right((0, 2), (0, 2), together=True)
    assert not is_right((0,), (0, 2), together=True)
    assert not is_right((0, 1, 2), (0, 2), together=True)
    assert not is_right((), (0, 2), together=True)
    # Both of two, one of two, one of two with a wrong one, none.
    assert [partial(p, (0, 2)) for p in [(0, 2), (0,), (0, 1), (1,), ()]] == [1, 1 / 2, 1 / 3, 0, 0]


def test_a_text_that_two_options_have_is_right_under_either_letter() -> None:
    places = read_given("Take rest.", ("Rest", "Aspirin", "rest"), together=False)["text"]
    assert places == (0, 2)
    assert is_right(places, (2,), together=False)
    assert not is_right(places, (1,), together=False)
    assert not is_right((), (1,), together=False)


def test_repeats() -> None:
    assert repeated_share([1, 2, 3]) == 0
    assert repeated_share(list(range(100))) == 0
    # 97 grams of 4, of which the first three are new.
    assert repeated_share([1, 2, 3] * 33 + [1]) == round(94 / 97, 4)
    assert repeated_share([1, 2, 3, 4, 5, 1, 2, 3, 4]) == round(1 / 6, 4)
    shares = [0.2, 0.2001]
    assert [Given(True, share, 9, 9, "", picked={}).repeats for share in shares] == [False, True]


def test_answers_with_a_mask_are_counted_where_it_was_looked_for() -> None:
    marks = [True, False, False, None]
    share = masked([Given(True, 0, 9, 9, "", masks=one) for one in marks])
    assert share is not None
    assert (share.value, share.rows) == (1 / 3, 3)
    assert masked([Given(True, 0, 9, 9, "")]) is None


def test_what_counts_is_the_last_statement_or_else_a_text() -> None:
    given = Given(True, 0, 1, 1, "", picked={"strict": (), "first": (0,), "last": (3,), "text": (1,)})
    assert (given.places("answer"), given.places("answer_first"), given.places("answer_text")) == ((3,), (0,), (1,))
    given = Given(True, 0, 1, 1, "", picked={"strict": (), "first": (), "last": (), "text": (1,)})
    assert given.places("answer") == (1,)
