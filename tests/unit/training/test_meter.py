"""Metric sums: means over everything seen since the last line, on all ranks."""

import json
import math
from typing import Any

import pytest
import torch

from medicalgpt.training.meter import Meter


class Ranks:
    """An accelerator whose other ranks hold `others`, in the meter's own table form."""

    device = torch.device("cpu")

    def __init__(self, *others: list[list[float]]) -> None:
        self.others = others

    def reduce(self, table: torch.Tensor, how: str) -> torch.Tensor:
        assert how == "sum"
        return table + sum(torch.tensor(o, dtype=torch.float64) for o in self.others)


def pair(total: float, count: float) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(total), torch.tensor(count)


def meter(accelerator: Any = None) -> Meter:
    return Meter(accelerator or Ranks())


def test_means_weigh_micro_batches_by_their_counts() -> None:
    m = meter()
    m.add({"loss": pair(6.0, 2.0)})  # a mean of 3 over two units
    m.add({"loss": pair(1.0, 8.0)})
    m.tokens = 40
    # (6 + 1) / (2 + 8), not the mean of 3 and 0.125
    assert m.drain() == ({"loss": 0.7}, 40)


def test_draining_starts_anew() -> None:
    m = meter()
    m.add({"loss": pair(6.0, 2.0)})
    m.tokens = 40
    m.drain()
    assert m.drain() == ({}, 0)
    m.add({"loss": pair(1.0, 1.0)})
    assert m.drain() == ({"loss": 1.0}, 0)


def test_ranks_are_added_before_dividing() -> None:
    # Names are sorted: accuracy, loss, then the tokens.
    m = meter(Ranks([[1.0, 1.0], [9.0, 1.0], [5.0, 0.0]]))
    m.add({"loss": pair(1.0, 3.0), "accuracy": pair(0.0, 3.0)})
    m.tokens = 7
    assert m.drain() == ({"accuracy": 0.25, "loss": 2.5}, 12)


def test_perplexity_is_the_exponential_of_the_reduced_nll() -> None:
    m = meter()
    m.add({"nll": pair(2.0, 1.0)})
    m.add({"nll": pair(0.0, 3.0)})
    # e^(2/4), not the mean of e^2 and e^0
    assert m.drain()[0] == {"perplexity": pytest.approx(math.exp(0.5))}
    m.add({"nll": pair(1e6, 1.0)})
    assert math.isfinite(m.drain()[0]["perplexity"])


def test_a_metric_without_units_is_zero() -> None:
    m = meter()
    m.add({"loss": pair(0.0, 0.0)})
    assert m.drain()[0] == {"loss": 0.0}


def test_gradients_are_not_kept() -> None:
    m = meter()
    m.add({"loss": (torch.tensor(2.0, requires_grad=True) * 3, torch.tensor(1.0))})
    assert m.sums == {"loss": [6.0, 1.0]}


def test_half_precision_sums_do_not_lose_counts() -> None:
    m = meter()
    for _ in range(4000):
        m.add({"loss": (torch.tensor(1.0, dtype=torch.bfloat16), torch.tensor(1.0))})
    assert m.sums == {"loss": [4000.0, 4000.0]}  # in bfloat16 the sum would stop at 256


def test_a_checkpoint_keeps_what_was_not_logged_yet() -> None:
    first = meter()
    first.add({"loss": pair(6.0, 2.0)})
    first.tokens = 40
    saved = json.loads(json.dumps(first.state()))
    assert first.drain() == ({"loss": 3.0}, 40)  # looking does not drain
    main, other = meter(), meter()
    main.restore(saved, main=True)
    other.restore(saved, main=False)
    assert (main.sums, main.tokens) == ({"loss": [6.0, 2.0]}, 40)
    assert (other.sums, other.tokens) == ({"loss": [0.0, 0.0]}, 0)  # the sums are global: counted once
    main.add({"loss": pair(1.0, 8.0)})
    assert main.drain() == ({"loss": 0.7}, 40)


def test_a_checkpoint_holds_the_sums_of_all_ranks() -> None:
    m = meter(Ranks([[9.0, 1.0], [5.0, 0.0]]))
    m.add({"loss": pair(1.0, 3.0)})
    m.tokens = 7
    assert m.state() == {"sums": {"loss": [10.0, 4.0]}, "tokens": 12}
