"""Parameters of which some say what there is to say, and the others prove it for every case in the slow tests."""

from collections.abc import Sequence
from typing import Any

import pytest


def quick_and_slow(quick: Sequence[Any], slow: Sequence[Any]) -> list[Any]:
    """Parameters for `pytest.mark.parametrize`; those of `slow` run with `make slow` only."""
    return [*quick, *(pytest.param(*(p if isinstance(p, tuple) else (p,)), marks=pytest.mark.slow) for p in slow)]
