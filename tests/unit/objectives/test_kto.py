"""KTO by numbers worked out by hand."""

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from tests.unit.objectives.test_dpo import Says, mean

from medicalgpt.objectives.kto import UnpairedFeedback, kto_values, weight_advice


@dataclass
class Batch:
    """Three answers. Segments: prompts 0, 2, 4; answers 1 (2 tokens, good), 3 (1 token, bad), 5 (2 tokens, bad)."""

    segment: torch.Tensor
    weights: torch.Tensor
    leaves: torch.Tensor
    desirable: torch.Tensor
    segments: int = 6
    baseline: torch.Tensor | None = None
    reference: torch.Tensor | None = None


def three(baseline: float, reference: torch.Tensor | None) -> Batch:
    return Batch(
        torch.tensor([1, 1, 3, 5, 5]),
        torch.ones(5),
        torch.tensor([[1], [3], [5]]),
        torch.tensor([True, False, False]),
        baseline=torch.tensor(baseline),
        reference=reference,
    )


#          good 1      bad 1  bad 2
VALUES = (-1.0, -2.0, -4.0, -3.0, -1.0)
REFERENCE = torch.tensor([-2.0, -4.0, -3.0, -3.5, -1.5])
# Log-ratios: 1 + 2 = 3; -1; 0.5 + 0.5 = 1.


def test_values_are_measured_from_the_baseline() -> None:
    ratios, good = torch.tensor([3.0, 3.0]), torch.tensor([True, False])
    # 0.5·(3 − 1) for a good answer, 0.5·(1 − 3) for a bad one
    assert kto_values(ratios, good, torch.tensor(1.0), beta=0.5).tolist() == [1.0, -1.0]


def test_a_batch_of_three_answers() -> None:
    out = UnpairedFeedback(beta=0.5).loss(Says(*VALUES), three(1.0, REFERENCE))
    # Values 0.5·(3 − 1) = 1, 0.5·(1 + 1) = 1, 0.5·(1 − 1) = 0; 1 − σ(1) = 0.268941, 1 − σ(0) = 0.5
    assert out.sum.item() == pytest.approx(2 * 0.268941 + 0.5, abs=1e-6)
    assert (out.count.item(), out.unit) == (3.0, "answer")
    assert mean(out, "rewards/accuracy") == pytest.approx(2.5 / 3)
    assert mean(out, "kl_baseline") == 1.0
    assert mean(out, "rewards/desirable") == 1.5  # β·3
    assert mean(out, "rewards/undesirable") == 0.0  # β·(−1 + 1) / 2
    assert mean(out, "logps/desirable") == -1.5
    assert mean(out, "logps/undesirable") == pytest.approx((-4 - 2) / 2)


def test_each_kind_has_its_weight() -> None:
    out = UnpairedFeedback(beta=0.5, desirable_weight=2.0, undesirable_weight=0.5)
    # 2·0.268941 + 0.5·(0.268941 + 0.5)
    assert out.loss(Says(*VALUES), three(1.0, REFERENCE)).sum.item() == pytest.approx(0.922353, abs=1e-6)
    assert out.count(three(0.0, None)).item() == 3.0  # weights do not count as more answers


def test_a_baseline_below_zero_counts_as_zero() -> None:
    found = UnpairedFeedback().loss(Says(*VALUES), three(-7.0, REFERENCE))
    assert found.sum.item() == UnpairedFeedback().loss(Says(*VALUES), three(0.0, REFERENCE)).sum.item()
    assert mean(found, "kl_baseline") == 0.0


def test_gradients_pull_good_answers_up_and_push_bad_ones_down() -> None:
    policy = Says(*VALUES)
    UnpairedFeedback(beta=0.5).loss(policy, three(1.0, REFERENCE)).sum.backward()
    # ∂(1 − σ(v)) = −β·σ(v)·(1 − σ(v)) for good ones, + for bad: σ(1)·σ(−1) = 0.196612, σ(0)² = 0.25
    wanted = [-0.098306, -0.098306, 0.098306, 0.125, 0.125]
    assert policy.values.grad.tolist() == pytest.approx(wanted, abs=1e-6)  # type: ignore[union-attr]


def test_the_baseline_is_a_sum_over_answers_and_their_number() -> None:
    total, count = UnpairedFeedback().baseline(Says(*VALUES), three(0.0, REFERENCE))
    assert (total.item(), count.item()) == (3.0, 3.0)  # 3 − 1 + 1


def test_step_0_costs_one_half() -> None:
    out = UnpairedFeedback().loss(Says(*VALUES), three(0.0, torch.tensor(VALUES)))
    assert out.sum.item() / out.count.item() == 0.5
    assert mean(out, "rewards/accuracy") == 0.5


def test_an_empty_row_counts_nothing() -> None:
    none = torch.empty(0, dtype=torch.long)
    batch = Batch(none, torch.empty(0), none, torch.empty(0, dtype=torch.bool), 0, torch.tensor(1.0), torch.empty(0))
    out = UnpairedFeedback().loss(Says(), batch)
    assert (out.sum.item(), out.count.item()) == (0.0, 0.0)
    assert all(float(total) == 0.0 == float(count) for total, count in out.metrics.values())
    assert [v.item() for v in UnpairedFeedback().baseline(Says(), batch)] == [0.0, 0.0]


def test_without_a_reference_there_is_no_kto() -> None:
    assert UnpairedFeedback.needs.reference
    calls: list[Any] = [UnpairedFeedback().loss, UnpairedFeedback().baseline]
    for call in calls:
        with pytest.raises(ValueError, match="needs reference"):
            call(Says(*VALUES), three(0.0, None))


@pytest.mark.parametrize(
    ("counts", "weights"),
    [((50, 50), (1, 1)), ((40, 50), (1, 1)), ((60, 40), (1, 1)), ((100, 900), (9, 1)), ((900, 100), (1, 9))],
)
def test_no_advice_where_both_kinds_pull_alike(counts: tuple[int, int], weights: tuple[float, float]) -> None:
    assert weight_advice(*counts, *weights) is None


def test_advice_is_what_the_paper_asks_for() -> None:
    # 1·100 / (1·400) = 0.25; λ_D between 400/100 and 4/3 of it, or λ_U between 3/4·100/400 and 100/400.
    advice = weight_advice(100, 400, 1.0, 1.0)
    assert advice is not None
    for words in ("100 desirable and 400 undesirable", "0.25 to 1", "4.00 … 5.33", "0.19 … 0.25"):
        assert words in advice
    for weights in ((4.0, 1.0), (5.33, 1.0), (1.0, 0.19), (1.0, 0.25)):
        assert weight_advice(100, 400, *weights) is None
    assert weight_advice(400, 100, 1.0, 1.0) is not None


@pytest.mark.parametrize("counts", [(0, 7), (7, 0)])
def test_one_kind_alone_is_warned_about(counts: tuple[int, int]) -> None:
    assert "add rows of the other one" in (weight_advice(*counts, 1.0, 1.0) or "")
    assert math.prod(counts) == 0
