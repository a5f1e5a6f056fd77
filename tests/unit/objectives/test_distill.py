"""Distillation: divergences against numbers derived by hand, and their limits."""

import math

import pytest
import torch

from medicalgpt.objectives.distill import divergence

# p = (1/2, 1/4, 1/4) is the student, q = (1/4, 1/4, 1/2) the teacher.
STUDENT = torch.tensor([[0.5, 0.25, 0.25]]).log()
TEACHER = torch.tensor([[0.25, 0.25, 0.5]]).log()


def test_both_kl_directions_are_those_derived_by_hand() -> None:
    # KL(q‖p) = ¼·ln(½) + ¼·ln 1 + ½·ln 2 = ¼·ln 2, and by symmetry KL(p‖q) = ½·ln 2 + ¼·ln ½ = ¼·ln 2.
    for kind in ("forward_kl", "reverse_kl"):
        assert divergence(STUDENT, TEACHER, kind).item() == pytest.approx(math.log(2) / 4, abs=1e-7)
    # Where the directions differ: p = (½, ½), q = (¼, ¾): KL(q‖p) = ¼·ln ½ + ¾·ln 3/2, KL(p‖q) = ½·ln 2 + ½·ln 2/3.
    p, q = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log()
    assert divergence(p, q, "forward_kl").item() == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5), abs=1e-7)
    assert divergence(p, q, "reverse_kl").item() == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3), abs=1e-7)


def test_jensen_shannon_is_the_one_derived_by_hand() -> None:
    # β = ½: m = (⅜, ¼, ⅜); KL(q‖m) = ¼·ln ⅔ + ½·ln 4/3, the same for p by symmetry, so the mean of both is one of them.
    wanted = 0.25 * math.log(2 / 3) + 0.5 * math.log(4 / 3)
    assert divergence(STUDENT, TEACHER, "jensen_shannon").item() == pytest.approx(wanted, abs=1e-7)


@pytest.mark.parametrize("kind", ["forward_kl", "reverse_kl", "jensen_shannon"])
def test_equal_distributions_are_at_distance_zero_with_no_gradient(kind: str) -> None:
    logits = torch.randn(3, 7, generator=torch.Generator().manual_seed(0)).requires_grad_()
    value = divergence(torch.log_softmax(logits, -1), torch.log_softmax(logits.detach(), -1), kind, 0.3)
    value.sum().backward()
    assert value.abs().max() < 1e-6
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6


def test_the_mix_leads_from_one_kl_to_the_other() -> None:
    # JSD_β / β → KL(q‖p) for β → 0 and JSD_β / (1−β) → KL(p‖q) for β → 1 (section 2 of the paper).
    p, q = torch.tensor([[0.5, 0.5]]).log().double(), torch.tensor([[0.25, 0.75]]).log().double()
    small = divergence(p, q, "jensen_shannon", 1e-5) / 1e-5
    large = divergence(p, q, "jensen_shannon", 1 - 1e-5) / 1e-5
    assert small.item() == pytest.approx(divergence(p, q, "forward_kl").item(), rel=1e-3)
    assert large.item() == pytest.approx(divergence(p, q, "reverse_kl").item(), rel=1e-3)
