"""Processes that share a row compute the loss and the gradients of one that holds it alone, in float64."""

import pytest
from tests.marks import quick_and_slow
from tests.peers import FAMILIES, LANGUAGE, ROWS, compare

EXACT = 1e-12
"""Measured is 3e-14."""


@pytest.mark.parametrize(
    "world", quick_and_slow([2], [3, 4])
)  # 3: of six heads; 4: two key heads, each on two processes
def test_a_shared_row_has_the_loss_and_gradients_of_a_row(world: int) -> None:
    gaps = compare(world)
    assert len(gaps) > len(FAMILIES) * len(LANGUAGE) * len(ROWS)
    assert {name: gap for name, gap in gaps.items() if not gap < EXACT} == {}
