"""DPO by numbers worked out by hand."""

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from medicalgpt.objectives.dpo import DirectPreference, Kind, dpo_loss, segment_sums


@dataclass
class Batch:
    """Two pairs. Segments: 0 prompt, 1 chosen (2 tokens), 2 rejected (1); 3 prompt, 4 chosen (1), 5 rejected (2)."""

    segment: torch.Tensor
    weights: torch.Tensor
    leaves: torch.Tensor
    segments: int = 6
    reference: torch.Tensor | None = None


def two_pairs(reference: torch.Tensor | None = None) -> Batch:
    return Batch(torch.tensor([1, 1, 2, 4, 5, 5]), torch.ones(6), torch.tensor([[1, 2], [4, 5]]), 6, reference)


class Says:
    """A policy with given log-probabilities."""

    def __init__(self, *logps: float) -> None:
        self.values = torch.tensor(logps, requires_grad=True)

    def logps(self, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return self.values, torch.zeros(len(self.values), dtype=torch.bool)

    def nll(self, batch: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        raise AssertionError("DPO asks for log-probabilities")


#                 chosen 1    rejected 1  chosen 2  rejected 2
POLICY = Says(-1.0, -2.0, -4.0, -3.0, -1.0, -1.0)
REFERENCE = torch.tensor([-2.0, -3.0, -3.0, -2.0, -2.0, -2.0])
# Log-ratios: pair 1: chosen (-3) - (-5) = 2, rejected (-4) - (-3) = -1, so Δ = 3.
#             pair 2: chosen (-3) - (-2) = -1, rejected (-2) - (-4) = 2,  so Δ = -3.


def per_pair(
    kind: Kind = "sigmoid", beta: float = 0.1, chosen: float = 2.0, rejected: float = -1.0, **more: Any
) -> float:
    return float(dpo_loss(torch.tensor([chosen]), torch.tensor([rejected]), beta, kind, **more))


def mean(out: Any, name: str) -> float:
    total, count = out.metrics[name]
    return float(total / count)


def test_nothing_preferred_costs_ln_2() -> None:
    # σ(0) = 1/2 whatever β and ε: -(1-ε)·ln ½ - ε·ln ½ = ln 2.
    assert per_pair(chosen=1.5, rejected=1.5) == pytest.approx(math.log(2))
    assert per_pair(chosen=1.5, rejected=1.5, label_smoothing=0.3) == pytest.approx(math.log(2))


def test_sigmoid() -> None:
    # β·Δ = 0.1·3 = 0.3; -ln σ(0.3) = ln(1 + e^-0.3) = ln 1.740818 = 0.554355
    assert per_pair() == pytest.approx(0.554355, abs=1e-6)
    # β·Δ = 0.5·3 = 1.5; ln(1 + e^-1.5) = ln 1.223130 = 0.201413
    assert per_pair(beta=0.5) == pytest.approx(0.201413, abs=1e-6)


def test_sigmoid_does_not_overflow() -> None:
    # ln(1 + e^1000) is 1000 to all digits.
    assert per_pair(beta=1.0, chosen=-500.0, rejected=500.0) == pytest.approx(1000.0)
    assert per_pair(beta=1.0, chosen=500.0, rejected=-500.0) == 0.0


def test_hinge() -> None:
    # 1 - 0.1·3 = 0.7 within the margin; 1 - 0.5·3 < 0 beyond it; 1 + 0.1·3 = 1.3 on the wrong side.
    assert per_pair("hinge") == pytest.approx(0.7)
    assert per_pair("hinge", beta=0.5) == 0.0
    assert per_pair("hinge", chosen=-1.0, rejected=2.0) == pytest.approx(1.3)


def test_ipo() -> None:
    # The target margin is 1/(2·0.1) = 5: (3 - 5)² = 4. It is a target, not a bound: Δ = 7 costs as much.
    assert per_pair("ipo") == pytest.approx(4.0)
    assert per_pair("ipo", chosen=4.0, rejected=-3.0) == pytest.approx(4.0)
    assert per_pair("ipo", chosen=4.0, rejected=-1.0) == 0.0


def test_label_smoothing() -> None:
    # 0.8·ln(1 + e^-0.3) + 0.2·ln(1 + e^0.3) = 0.8·0.554355 + 0.2·0.854355 = 0.614355
    assert per_pair(label_smoothing=0.2) == pytest.approx(0.614355, abs=1e-6)


@pytest.mark.parametrize("beta", [0.0, -0.1])
@pytest.mark.parametrize("kind", ["sigmoid", "hinge", "ipo"])
def test_a_beta_that_learns_nothing_is_refused(kind: Kind, beta: float) -> None:
    with pytest.raises(ValueError, match=f"beta must be above 0, not {beta}"):
        per_pair(kind, beta=beta)


def test_segment_sums() -> None:
    found = segment_sums(torch.tensor([1.0, 2.0, 4.0, 8.0]), torch.tensor([2, 0, 2, 3]), 5)
    assert found.tolist() == [2.0, 0.0, 5.0, 8.0, 0.0]


def test_a_batch_of_two_pairs() -> None:
    out = DirectPreference(beta=0.1).loss(POLICY, two_pairs(REFERENCE))
    # 0.554355 (β·Δ = 0.3) + 0.854355 (β·Δ = -0.3)
    assert out.sum.item() == pytest.approx(1.408710, abs=1e-5)
    assert (out.count.item(), out.unit) == (2.0, "pair")


def test_gradients_push_the_answers_apart() -> None:
    policy = Says(*POLICY.values.tolist())
    DirectPreference(beta=0.1).loss(policy, two_pairs(REFERENCE)).sum.backward()
    # ∂ -ln σ(βΔ) / ∂ r_c = -β·σ(-βΔ): -0.1·σ(-0.3) = -0.0425557 and -0.1·σ(0.3) = -0.0574443; + for rejected.
    wanted = [-0.0425557, -0.0425557, 0.0425557, -0.0574443, 0.0574443, 0.0574443]
    assert policy.values.grad.tolist() == pytest.approx(wanted, abs=1e-6)  # type: ignore[union-attr]


def test_metrics() -> None:
    out = DirectPreference(beta=0.1).loss(POLICY, two_pairs(REFERENCE))
    # Rewards are β times the log-ratios: pair 1 (0.2, -0.1), pair 2 (-0.1, 0.2).
    assert mean(out, "rewards/chosen") == pytest.approx(0.05)
    assert mean(out, "rewards/rejected") == pytest.approx(0.05)
    assert mean(out, "rewards/margin") == pytest.approx(0.0, abs=1e-7)
    assert mean(out, "rewards/accuracy") == 0.5  # one right, one wrong
    # Per token: chosen (-1.5, -3), rejected (-4, -1).
    assert mean(out, "logps/chosen") == pytest.approx(-2.25)
    assert mean(out, "logps/rejected") == pytest.approx(-2.5)


def test_kl_is_k3() -> None:
    out = DirectPreference().loss(POLICY, two_pairs(REFERENCE))
    # k3 = e^g - 1 - g with g = ref - policy per token: four tokens of g = -1 (e^-1 = 0.367879), two of g = +1
    # (e - 2 = 0.718282): (4·0.367879 + 2·0.718282) / 6 = 0.484680
    assert mean(out, "kl") == pytest.approx(0.484680, abs=1e-6)


def test_kl_survives_a_collapsed_policy() -> None:
    out = DirectPreference().loss(Says(-5000.0, -2.0, -4.0, -3.0, -1.0, -1.0), two_pairs(REFERENCE))
    assert math.isfinite(mean(out, "kl"))


@pytest.mark.parametrize(
    "objective", [DirectPreference(), DirectPreference(kind="ipo"), DirectPreference(kind="hinge")]
)
def test_step_0(objective: DirectPreference) -> None:
    """Policy and reference agree: margin and KL are exactly 0, and a tie is neither right nor wrong."""
    out = objective.loss(POLICY, two_pairs(POLICY.values.detach().clone()))
    assert mean(out, "rewards/margin") == 0.0
    assert mean(out, "rewards/accuracy") == 0.5
    assert mean(out, "kl") == 0.0
    # ln 2; 1 - 0; (0 - 1/(2·0.1))² = 25
    wanted = {"sigmoid": math.log(2), "hinge": 1.0, "ipo": 25.0}[objective.kind]
    assert out.sum.item() / out.count.item() == pytest.approx(wanted)


def test_ipo_counts_per_token() -> None:
    out = DirectPreference(beta=0.1, kind="ipo").loss(POLICY, two_pairs(REFERENCE))
    # Pair 1: 2/2 - (-1)/1 = 2, (2 - 5)² = 9. Pair 2: -1/1 - 2/2 = -2, (-2 - 5)² = 49.
    assert out.sum.item() == pytest.approx(58.0)
    assert mean(out, "rewards/chosen") == pytest.approx(0.1 * (1 - 1) / 2, abs=1e-7)


def test_length_normalized() -> None:
    out = DirectPreference(beta=1.0, length_normalized=True).loss(POLICY, two_pairs(REFERENCE))
    # Δ per token is 2 and -2: ln(1 + e^-2) + ln(1 + e^2) = 0.126928 + 2.126928
    assert out.sum.item() == pytest.approx(2.253856, abs=1e-5)


def test_the_sft_term_is_the_chosen_answers_nll_per_token() -> None:
    plain = DirectPreference(beta=0.1).loss(POLICY, two_pairs(REFERENCE)).sum.item()
    mixed = DirectPreference(beta=0.1, sft_weight=0.5).loss(POLICY, two_pairs(REFERENCE)).sum.item()
    # 0.5·(3/2 + 3/1)
    assert mixed - plain == pytest.approx(2.25, abs=1e-5)


def test_token_weights_count() -> None:
    batch = two_pairs(REFERENCE)
    batch.weights = torch.tensor([0.5, 1.0, 1.0, 1.0, 1.0, 1.0])
    # Pair 1: chosen 0.5·1 + 1·1 = 1.5 instead of 2, so Δ = 2.5; per token 1.5 / 1.5 - (-1) = 2 as before.
    out = DirectPreference(beta=1.0, kind="hinge").loss(POLICY, batch)
    assert out.sum.item() == pytest.approx(0.0 + 4.0)  # 1 - 2.5 < 0, 1 + 3
    ipo = DirectPreference(beta=0.1, kind="ipo").loss(POLICY, batch)
    assert ipo.sum.item() == pytest.approx(58.0)


def test_without_a_reference_there_is_no_dpo() -> None:
    assert DirectPreference.needs.reference
    with pytest.raises(ValueError, match="needs reference"):
        DirectPreference().loss(POLICY, two_pairs())


def test_an_empty_row_counts_nothing() -> None:
    batch = Batch(torch.empty(0, dtype=torch.long), torch.empty(0), torch.empty(0, dtype=torch.long), 0, torch.empty(0))
    out = DirectPreference().loss(Says(), batch)
    assert (out.sum.item(), out.count.item()) == (0.0, 0.0)
    assert all(float(total) == 0.0 == float(count) for total, count in out.metrics.values())
