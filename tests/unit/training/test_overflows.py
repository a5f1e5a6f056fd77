"""float16 finds its loss scale by overflowing; only a gradient that overflows at every scale is broken."""

import torch

from medicalgpt.training.supervised.numbers import Overflows, TrainNumbers

BROKEN, FINE = torch.tensor(torch.inf), torch.tensor(1.0)


class Alone:
    device = torch.device("cpu")

    def reduce(self, tensor: torch.Tensor, how: str = "sum") -> torch.Tensor:
        return tensor


def test_the_first_overflow_skips_a_step() -> None:
    found = Overflows()
    assert found.bears(BROKEN, scaled=True)
    assert found.bears(FINE, scaled=True)
    assert found.drain() == {"train/skipped_steps": 1.0}
    assert found.drain() == {}


def test_without_a_scale_it_ends_the_run() -> None:
    assert not Overflows().bears(BROKEN, scaled=False)
    assert not Overflows().bears(torch.tensor(torch.nan), scaled=False)
    assert Overflows().bears(FINE, scaled=False)


def test_a_gradient_that_overflows_at_every_scale_ends_it_too() -> None:
    found = Overflows()
    assert [found.bears(BROKEN, scaled=True) for _ in range(Overflows.MOST + 1)] == [True] * Overflows.MOST + [False]
    found.bears(FINE, scaled=True)
    assert found.bears(BROKEN, scaled=True)


def test_a_skipped_step_has_no_gradient_norm() -> None:
    numbers = TrainNumbers(Alone())
    assert "train/grad_norm" not in numbers.line(float("inf"), 1e-4)
    assert numbers.line(2.0, 1e-4)["train/grad_norm"] == 2.0
