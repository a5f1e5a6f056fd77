"""Advantages: the vectorised code = the definitions written as loops, and numbers worked out by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medicalgpt.objectives.advantages import (
    gae,
    group_relative,
    kl_terms,
    leave_one_out,
    per_completion,
    token_rewards,
)

numbers = st.floats(-5, 5, width=32)
completions = st.lists(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=7), min_size=1, max_size=5)


def flat(rows: list[list[float]]) -> torch.Tensor:
    return torch.tensor([x for row in rows for x in row])


def gae_of_one(rewards: list[float], values: list[float], gamma: float, lam: float) -> list[float]:
    """Â_t = Σ_l (γλ)^l·δ_{t+l}: the sum of the paper, not its recursion."""
    n = len(rewards)
    delta = [rewards[t] + gamma * (values[t + 1] if t + 1 < n else 0.0) - values[t] for t in range(n)]
    return [sum((gamma * lam) ** k * delta[t + k] for k in range(n - t)) for t in range(n)]


@settings(max_examples=60, deadline=None)
@given(completions, st.floats(0.1, 1), st.floats(0, 1))
def test_gae_is_the_sum_of_the_paper_for_every_completion(
    rows: list[list[tuple[float, float]]], gamma: float, lam: float
) -> None:
    rewards, values = ([[pair[i] for pair in row] for row in rows] for i in (0, 1))
    wanted = [gae_of_one(r, v, gamma, lam) for r, v in zip(rewards, values)]
    found = gae(flat(rewards), flat(values), torch.tensor([len(r) for r in rows]), gamma, lam)
    torch.testing.assert_close(found, flat(wanted), rtol=1e-4, atol=1e-4)


def test_gae_by_hand() -> None:
    # γ = ½, λ = ½, rewards 0, 0, 4 and values 1, 2, 3. δ = 0+1−1 = 0, 0+1.5−2 = −½, 4+0−3 = 1.
    # A₃ = 1, A₂ = −½ + ¼·1 = −¼, A₁ = 0 + ¼·(−¼) = −1/16. A completion of one token behind it: 2 − 5 = −3.
    found = gae(torch.tensor([0.0, 0, 4, 2]), torch.tensor([1.0, 2, 3, 5]), torch.tensor([3, 1]), gamma=0.5, lam=0.5)
    assert found.tolist() == [-1 / 16, -1 / 4, 1.0, -3.0]


@settings(max_examples=40, deadline=None)
@given(completions)
def test_lambda_1_and_gamma_1_give_the_return_minus_the_value(rows: list[list[tuple[float, float]]]) -> None:
    rewards, values = ([[pair[i] for pair in row] for row in rows] for i in (0, 1))
    wanted = [sum(r[t:]) - v[t] for r, v in zip(rewards, values) for t in range(len(r))]
    found = gae(flat(rewards), flat(values), torch.tensor([len(r) for r in rows]), 1.0, 1.0)
    torch.testing.assert_close(found, torch.tensor(wanted), rtol=1e-4, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(completions, st.floats(0, 1))
def test_rewards_and_sums_of_every_completion(rows: list[list[tuple[float, float]]], beta: float) -> None:
    kl, lengths = flat([[pair[0] for pair in row] for row in rows]), torch.tensor([len(r) for r in rows])
    scores = torch.tensor([row[0][1] for row in rows])
    wanted = []
    for row, score in zip(rows, scores.tolist()):
        wanted += [-beta * k + (score if t == len(row) - 1 else 0.0) for t, (k, _) in enumerate(row)]
    found = token_rewards(scores, kl, lengths, beta)
    torch.testing.assert_close(found, torch.tensor(wanted), rtol=1e-5, atol=1e-5)
    sums = [sum(k for k, _ in row) for row in rows]
    torch.testing.assert_close(per_completion(kl, lengths), torch.tensor(sums), rtol=1e-4, atol=1e-4)
    # An answer's rewards add up to its score minus β·KL: nothing is lost between the tokens.
    torch.testing.assert_close(
        per_completion(found, lengths), scores - beta * per_completion(kl, lengths), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_kl_estimators_are_unbiased_on_a_distribution_that_can_be_enumerated(estimator: str) -> None:
    p, q = torch.tensor([0.5, 0.3, 0.15, 0.05]), torch.tensor([0.1, 0.2, 0.3, 0.4])
    true = float((p * (p / q).log()).sum())
    # The expectation over tokens drawn from p, exactly.
    expected = float((p * kl_terms(p.log(), q.log(), estimator)).sum())  # type: ignore[arg-type]
    assert expected == pytest.approx(true, abs=1e-6)
    assert true > 0.5


def test_k3_is_never_negative_and_varies_less_than_k1() -> None:
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.45, 0.3, 0.25])
    k1, k3 = (kl_terms(p.log(), q.log(), e) for e in ("k1", "k3"))
    assert (k3 >= 0).all()
    assert (k1 < 0).any()
    mean = (p * k1).sum()
    assert float((p * (k3 - mean) ** 2).sum()) < 0.1 * float((p * (k1 - mean) ** 2).sum())


def test_k3_by_hand() -> None:
    # log p = ln ½, log p_ref = ln ¼: p_ref/p = ½, so ½ − 1 − ln ½ = ln 2 − ½.
    found = kl_terms(torch.tensor([math.log(0.5)]), torch.tensor([math.log(0.25)]), "k3")
    assert float(found) == pytest.approx(math.log(2) - 0.5, abs=1e-6)


groups = st.integers(2, 6).flatmap(
    lambda n: st.lists(st.lists(numbers, min_size=n, max_size=n), min_size=1, max_size=4)
)


@settings(max_examples=40, deadline=None)
@given(groups)
def test_leave_one_out_is_the_score_minus_the_mean_of_the_others(rows: list[list[float]]) -> None:
    wanted = [[s - sum(r[:i] + r[i + 1 :]) / (len(r) - 1) for i, s in enumerate(r)] for r in rows]
    torch.testing.assert_close(leave_one_out(torch.tensor(rows)), torch.tensor(wanted), rtol=1e-4, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(groups, st.booleans())
def test_group_relative_is_the_score_in_standard_deviations_of_its_group(rows: list[list[float]], scale: bool) -> None:
    wanted = []
    for r in rows:
        mean = sum(r) / len(r)
        spread = math.sqrt(sum((s - mean) ** 2 for s in r) / (len(r) - 1)) + 1e-4 if scale else 1.0
        wanted.append([(s - mean) / spread for s in r])
    found = group_relative(torch.tensor(rows, dtype=torch.float64), scale)
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64), rtol=1e-4, atol=1e-4)


def test_answers_that_score_alike_teach_nothing() -> None:
    alike = torch.full((2, 4), 3.5)
    for found in (leave_one_out(alike), group_relative(alike), group_relative(alike, scale=False)):
        assert not found.any()


@pytest.mark.parametrize("function", [leave_one_out, group_relative])
def test_an_answer_without_siblings_is_refused(function: object) -> None:
    with pytest.raises(ValueError, match=r"at least 2 completions a prompt, not 1"):
        function(torch.ones(3, 1))  # type: ignore[operator]
