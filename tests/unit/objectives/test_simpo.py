"""SimPO by numbers worked out by hand."""

import math

import pytest
import torch
from tests.unit.objectives.test_dpo import Batch, Says, mean, two_pairs

from medicalgpt.objectives.simpo import SimplePreference, simpo_loss


def per_pair(chosen: float, rejected: float, beta: float = 2.0, gamma: float = 1.0) -> float:
    return float(simpo_loss(torch.tensor([chosen]), torch.tensor([rejected]), beta, gamma))


def test_the_loss_of_one_pair() -> None:
    # 2·(-1 + 1.5) - 1 = 0: ln 2, the target is just met. Answers that are liked alike cost ln(1 + e^1) = 1.313262.
    assert per_pair(-1.0, -1.5) == pytest.approx(math.log(2))
    assert per_pair(-1.3, -1.3) == pytest.approx(1.313262, abs=1e-6)
    # 2·(-1 + 3) - 1 = 3: ln(1 + e^-3) = 0.048587; without a target 2·(-1 + 3) = 4: ln(1 + e^-4) = 0.018150
    assert per_pair(-1.0, -3.0) == pytest.approx(0.048587, abs=1e-6)
    assert per_pair(-1.0, -3.0, gamma=0.0) == pytest.approx(0.018150, abs=1e-6)


#          chosen 1    rejected 1  chosen 2  rejected 2
VALUES = (-1.0, -2.0, -4.0, -3.0, -2.0, -2.4)
# Means: pair 1 chosen -1.5, rejected -4: margin 2·2.5 = 5. Pair 2 chosen -3, rejected -2.2: margin 2·(-0.8) = -1.6.


def test_a_batch_of_two_pairs() -> None:
    out = SimplePreference(beta=2.0, gamma=1.0).loss(Says(*VALUES), two_pairs())
    # ln(1 + e^-(5 - 1)) = 0.018150 and ln(1 + e^(1.6 + 1)) = 2.671645
    assert float(out.sum.detach()) == pytest.approx(0.018150 + 2.671645, abs=1e-5)
    assert (float(out.count), out.unit) == (2.0, "pair")
    assert mean(out, "rewards/margin") == pytest.approx((5 - 1.6) / 2)
    assert mean(out, "rewards/accuracy") == 0.5
    assert mean(out, "rewards/target_reached") == 0.5
    assert mean(out, "logps/chosen") == pytest.approx((-1.5 - 3) / 2)
    assert mean(out, "logps/rejected") == pytest.approx((-4 - 2.2) / 2)
    higher = SimplePreference(beta=2.0, gamma=6.0).loss(Says(*VALUES), two_pairs())
    assert (mean(higher, "rewards/accuracy"), mean(higher, "rewards/target_reached")) == (0.5, 0.0)


def test_gradients_are_shared_among_the_tokens_of_an_answer() -> None:
    policy = Says(*VALUES)
    SimplePreference(beta=2.0, gamma=1.0).loss(policy, two_pairs()).sum.backward()
    # ∂ / ∂ token = ∓ β·σ(-(βΔ - γ)) / length: σ(-4) = 0.017986, σ(2.6) = 0.930862
    wanted = [-0.017986, -0.017986, 0.035972, -1.861723, 0.930862, 0.930862]
    assert policy.values.grad.tolist() == pytest.approx(wanted, abs=1e-5)  # type: ignore[union-attr]


def test_an_empty_row_counts_nothing() -> None:
    batch = Batch(torch.empty(0, dtype=torch.long), torch.empty(0), torch.empty(0, dtype=torch.long), 0)
    out = SimplePreference().loss(Says(), batch)
    assert (out.sum.item(), out.count.item()) == (0.0, 0.0)
