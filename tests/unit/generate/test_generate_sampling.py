"""Settings and the draw itself."""

import pytest
import torch

from medicalgpt.errors import ServeError
from medicalgpt.generate.backends.transformers import _Draw
from medicalgpt.generate.sampling import Sampling, row_seed


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0; allowed"),
        ({"temperature": -0.1}, "temperature is -0.1; allowed: 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_p": 0.0}, "top_p is 0.0; allowed: above 0"),
        ({"top_p": 1.1}, "top_p is 1.1"),
        ({"top_k": -1}, "top_k is -1"),
        ({"repetition_penalty": 0.0}, "repetition_penalty is 0.0"),
        ({"seed": -1}, "seed is -1"),
        ({"min_new_tokens": -1}, "min_new_tokens is -1"),
        ({"min_new_tokens": 257}, r"min_new_tokens is 257; allowed: 0 \(off\) to max_new_tokens \(256\)"),
        ({"stop": ("a", "")}, "stop: an empty text"),
    ],
)
def test_wrong_settings_are_named(wrong: dict, message: str) -> None:
    with pytest.raises(ServeError, match=message):
        Sampling(**wrong)


def test_row_seeds_differ_by_seed_and_row() -> None:
    assert len({row_seed(s, i) for s in range(20) for i in range(20)}) == 400
    assert row_seed(1, 23) == row_seed(1, 23)


class _Fixed:
    def __init__(self, *numbers: float) -> None:
        self.numbers = iter(numbers)

    def random(self) -> float:
        return next(self.numbers)


@pytest.mark.parametrize(("uniform", "token"), [(0.0, 1), (0.24, 1), (0.26, 2), (0.74, 2), (0.76, 4), (1 - 2**-53, 4)])
def test_the_draw_inverts_the_distribution_function(uniform: float, token: int) -> None:
    # Probabilities 0, ¼, ½, 0, ¼ cumulate to 0, ¼, ¾, ¾, 1: tokens 0 and 3 own no stretch of [0, 1).
    scores = torch.tensor([[0.0, 0.25, 0.5, 0.0, 0.25]]).log()
    draw = _Draw([0])
    draw.randoms = [_Fixed(uniform)]  # type: ignore[list-item]
    out = draw(torch.zeros(1, 1), scores)
    assert int(out.argmax()) == token
    assert int(torch.isfinite(out).sum()) == 1


def test_the_draw_follows_the_probabilities() -> None:
    expected = torch.tensor([0.6, 0.3, 0.1])
    n = 4000
    drawn = _Draw([row_seed(0, i) for i in range(n)])(torch.zeros(n, 1), expected.log().expand(n, 3)).argmax(1)
    share = torch.bincount(drawn, minlength=3) / n
    error = (expected * (1 - expected) / n).sqrt()
    assert ((share - expected).abs() < 4 * error).all()


@pytest.mark.parametrize(
    ("name", "value"), [("max_new_tokens", "64"), ("temperature", None), ("seed", 1.5), ("top_p", True), ("top_k", [5])]
)
def test_a_setting_of_another_type_is_named(name: str, value: object) -> None:
    with pytest.raises(ServeError, match=f"{name} is a {type(value).__name__}; allowed: a (whole )?number"):
        Sampling(**{name: value})  # type: ignore[arg-type]
