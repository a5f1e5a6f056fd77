"""Who gets whose answer: never one to the same prompt, each answer once where that is possible, the same every time."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medicalgpt.data.records import Source
from medicalgpt.errors import DataError
from medicalgpt.rendering.kto_pairs import Mismatched, mismatch, mismatch_held_out
from medicalgpt.rendering.tree import Segment, TokenTree


def trees(prompts: Sequence[int], answer: int = 3) -> list[TokenTree]:
    """Row i: a prompt of two tokens (p, p) and an answer of tokens 100 + i."""
    return [
        TokenTree(
            (
                Segment(np.full(2, p, np.int32), np.zeros(2, np.float32)),
                Segment(np.full(answer, 100 + i, np.int32), np.ones(answer, np.float32), 0),
            ),
            Source("rows", i),
            True,
        )
        for i, p in enumerate(prompts)
    ]


@given(st.lists(st.integers(0, 5), min_size=2, max_size=30).filter(lambda p: len(set(p)) > 1), st.integers(0, 9))
@settings(deadline=None)
def test_no_prompt_gets_an_answer_to_itself(prompts: list[int], seed: int) -> None:
    found = mismatch(trees(prompts), 64, seed)
    assert len(found) == len(prompts)
    for i, tree in enumerate(found):
        prompt, answer = tree.segments
        assert prompt.ids.tolist() == [prompts[i]] * 2
        assert prompts[int(answer.ids[0]) - 100] != prompts[i]
        assert (tree.source.row, tree.desirable, answer.parent) == (i, None, 0)
    largest = max(prompts.count(p) for p in prompts)
    if 2 * largest <= len(prompts):
        assert sorted(found.partners) == list(range(len(prompts)))
    assert mismatch(trees(prompts), 64, seed).partners.tolist() == found.partners.tolist()


def test_the_seed_decides() -> None:
    rows = trees(range(40))
    assert mismatch(rows, 64, 1).partners.tolist() != mismatch(rows, 64, 2).partners.tolist()


def test_an_answer_that_does_not_fit_loses_its_end() -> None:
    rows = [*trees([1], answer=2), *trees([2], answer=9)]
    found = mismatch(rows, 7, 0)
    assert [len(t) for t in found] == [7, 4]
    assert found[0].segments[1].weights.tolist() == [1.0] * 5


def test_one_prompt_alone_is_refused() -> None:
    with pytest.raises(DataError, match="all rows have the same prompt"):
        mismatch(trees([4, 4, 4]), 64, 0)


def test_a_held_out_set_of_one_prompt_takes_answers_from_the_training_set() -> None:
    train = trees([1, 2, 3])
    found = mismatch_held_out(trees([9, 9]), train, 64, 0)
    assert isinstance(found, Mismatched)
    assert found.answers is train
    assert [t.segments[0].ids[0] for t in found] == [9, 9]
    several = trees([8, 9])
    assert mismatch_held_out(several, train, 64, 0).answers is several
