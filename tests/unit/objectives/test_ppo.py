"""PPO, RLOO and GRPO by numbers worked out by hand."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch

from medicalgpt.objectives.base import RolloutTargets
from medicalgpt.objectives.grpo import GroupRelative
from medicalgpt.objectives.ppo import ClippedPolicy, ClippedValue, clipped_policy_loss, clipped_value_loss
from medicalgpt.objectives.rloo import LeaveOneOut

HALF, LN2 = math.log(0.5), math.log(2)


@dataclass
class Batch:
    """Two answers to one prompt: segment 1 has two tokens, segment 2 one."""

    rollout: RolloutTargets
    reference: torch.Tensor | None = None
    segment: torch.Tensor = field(default_factory=lambda: torch.tensor([1, 1, 2]))
    weights: torch.Tensor = field(default_factory=lambda: torch.ones(3))


class Says:
    """A policy with given log-probabilities, entropies and values."""

    def __init__(self, logps: list[float], entropy: list[float] | None = None) -> None:
        self.out = torch.tensor(logps, requires_grad=True)
        self.entropy = torch.tensor(entropy or [0.0] * len(logps), requires_grad=True)

    def logps(self, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return self.out, self.out > 0

    def distribution(self, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return self.out, self.entropy

    def values(self, batch: Any) -> torch.Tensor:
        return self.out


def batch(advantages: list[float], **more: list[float]) -> Batch:
    found = tensors(more)
    reference = found.pop("reference", None)
    return Batch(RolloutTargets(torch.full((3,), HALF), torch.tensor(advantages), **found), reference)


def tensors(found: dict[str, list[float]]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(values) for name, values in found.items()}


def mean(out: Any, name: str) -> float:
    total, count = out.metrics[name]
    return float(total / count)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss"),
    [
        (1.0, 2.0, -2.0),  # inside: −ρA
        (1.5, 2.0, -2.4),  # above with A > 0: clipped to −1.2·2
        (1.5, -2.0, 3.0),  # above with A < 0: the unclipped one is worse and so counts
        (0.5, -2.0, 1.6),  # below with A < 0: clipped to 0.8·2
        (0.5, 2.0, -1.0),  # below with A > 0: unclipped
    ],
)
def test_the_policy_loss_of_a_token(ratio: float, advantage: float, loss: float) -> None:
    found = clipped_policy_loss(torch.tensor(ratio), torch.tensor(advantage))
    assert float(found) == pytest.approx(loss)


def test_a_wider_upper_bound() -> None:
    assert float(clipped_policy_loss(torch.tensor(1.5), torch.tensor(2.0), 0.2, 0.28)) == pytest.approx(-2.56)


def test_where_clipping_holds_there_is_no_gradient() -> None:
    ratio = torch.tensor([1.5, 1.5, 0.5, 0.5, 1.0], requires_grad=True)
    clipped_policy_loss(ratio, torch.tensor([2.0, -2.0, -2.0, 2.0, 3.0])).sum().backward()
    assert ratio.grad is not None
    assert ratio.grad.tolist() == [0.0, 2.0, 0.0, -2.0, -3.0]


@pytest.mark.parametrize(
    ("value", "old", "target", "clip", "loss"),
    [
        (1.0, 0.0, 2.0, None, 0.5),  # ½·(1−2)²
        (1.0, 0.0, 2.0, 0.2, 0.5 * 1.8**2),  # clipped value 0.2 lies further from 2 than 1 does
        (0.1, 0.0, 2.0, 0.2, 0.5 * 1.9**2),  # inside the bound both are the same
        (3.0, 0.0, 0.1, 0.2, 0.5 * 2.9**2),  # the unclipped error is the worse one
    ],
)
def test_the_value_loss_of_a_token(value: float, old: float, target: float, clip: float | None, loss: float) -> None:
    found = clipped_value_loss(*(torch.tensor(x) for x in (value, old, target)), clip)
    assert float(found) == pytest.approx(loss)


def test_ppo_on_a_batch() -> None:
    # π_old = ½ everywhere; π = ½, ¾, ¼: ratios 1, 1.5, 0.5 with A = 1, 1, −1.
    policy = Says([HALF, math.log(0.75), math.log(0.25)], [0.3, 0.5, 0.7])
    out = ClippedPolicy(entropy=0.1).loss(policy, batch([1.0, 1.0, -1.0]))
    # −1, −1.2 (clipped) and 0.8 (clipped), minus 0.1·(0.3 + 0.5 + 0.7).
    assert float(out.sum.detach()) == pytest.approx(-1 - 1.2 + 0.8 - 0.15, abs=1e-6)
    assert (float(out.count), out.unit) == (3.0, "token")
    assert mean(out, "ratio") == pytest.approx(1.0)
    assert mean(out, "clip_fraction") == pytest.approx(2 / 3)
    # k3 of KL(π_old ‖ π): ρ − 1 − ln ρ = 0, ½ − ln 1.5, −½ + ln 2.
    assert mean(out, "approx_kl") == pytest.approx((LN2 - math.log(1.5)) / 3, abs=1e-6)
    out.sum.backward()
    # ∂(−ρA)/∂ log π = −ρA where nothing is clipped.
    assert policy.out.grad is not None
    assert policy.out.grad.tolist() == pytest.approx([-1.0, 0.0, 0.0])
    assert policy.entropy.grad is not None
    assert policy.entropy.grad.tolist() == pytest.approx([-0.1] * 3)


def test_without_an_entropy_bonus_nothing_pays_for_it() -> None:
    policy = Says([HALF] * 3)
    policy.distribution = None  # type: ignore[assignment,method-assign]
    assert float(ClippedPolicy().loss(policy, batch([1.0, 2.0, -4.0])).sum.detach()) == pytest.approx(1.0)


def test_the_critic_on_a_batch() -> None:
    seen = batch([0.0] * 3, old_values=[0.0, 0.0, 1.0], returns=[2.0, 0.1, 1.0])
    out = ClippedValue(0.2).loss(Says([1.0, 3.0, 1.1]), seen)
    # ½·1.8², ½·2.9² and ½·0.1².
    assert float(out.sum.detach()) == pytest.approx(0.5 * (1.8**2 + 2.9**2 + 0.1**2))
    assert mean(out, "value_loss") == pytest.approx(float(out.sum.detach()) / 3)


def test_rloo_takes_an_answer_as_one_action() -> None:
    # Answer 1: ratios 1.2 and 1.25 make 1.5, clipped to 1.2 with A = 2: −2.4. Answer 2: ½ with A = −2: clipped 0.8·2.
    policy = Says([math.log(0.6), math.log(0.625), math.log(0.25)])
    out = LeaveOneOut().loss(policy, batch([2.0, 2.0, -2.0]))
    assert float(out.sum.detach()) == pytest.approx(-2.4 + 1.6, abs=1e-6)
    assert (float(out.count), out.unit) == (2.0, "answer")
    assert mean(out, "clip_fraction") == 1.0
    inside = Says([math.log(0.55), HALF, HALF])  # ratios 1.1 and 1
    out = LeaveOneOut().loss(inside, batch([2.0, 2.0, -2.0]))
    assert float(out.sum.detach()) == pytest.approx(-2.2 + 2.0, abs=1e-6)
    out.sum.backward()
    # Both tokens of an answer carry its whole ratio: ∂(−ρA)/∂ log π = −1.1·2 at each.
    assert inside.out.grad is not None
    assert inside.out.grad.tolist() == pytest.approx([-2.2, -2.2, 2.0], rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "loss", "count"),
    # Tokens: −1 + βk3, −1.2 + βk3, 2 + βk3 with k3 = 0, ⅔ − 1 + ln 1.5 and 0 (π_ref = ½; p_ref/p = 1, ⅔, 1) and β = 0.3.
    [
        ("bnpo", -1 - 1.2 + 2 + 0.3 * (math.log(1.5) - 1 / 3), 3.0),
        ("grpo", (-1 - 1.2 + 0.3 * (math.log(1.5) - 1 / 3)) / 2 + 2, 2.0),
        # Two answers, which were 5 tokens long in the mean of the whole update, and may be 9 tokens long.
        ("dapo", -1 - 1.2 + 2 + 0.3 * (math.log(1.5) - 1 / 3), 10.0),
        ("dr_grpo", -1 - 1.2 + 2 + 0.3 * (math.log(1.5) - 1 / 3), 18.0),
    ],
)
def test_grpo_on_a_batch(kind: Any, loss: float, count: float) -> None:
    seen = batch([1.0, 1.0, -2.0], reference=[HALF] * 3)
    seen.rollout = replace(seen.rollout, mean_length=5.0)
    objective = GroupRelative(beta=0.3, loss_type=kind, longest=9)
    out = objective.loss(Says([HALF, math.log(0.75), HALF]), seen)
    assert float(out.sum.detach()) == pytest.approx(loss, abs=1e-6)
    assert float(out.count) == float(objective.count(seen)) == count
    assert out.unit == ("answer" if kind == "grpo" else "token")


@pytest.mark.parametrize(("kind", "count"), [("bnpo", 1.0), ("grpo", 2.0), ("dapo", 10.0), ("dr_grpo", 18.0)])
def test_an_answer_that_the_limit_cut_carries_no_loss(kind: Any, count: float) -> None:
    """Of answers 1 (cut) and 2 the second alone has a loss, 2; bnpo divides by its one token, the others as ever."""
    seen = batch([1.0, 1.0, -2.0], reference=[HALF] * 3, counted=[0.0, 0.0, 1.0])
    seen.rollout = replace(seen.rollout, mean_length=5.0)
    policy = Says([HALF, math.log(0.75), HALF])
    out = GroupRelative(beta=0.3, loss_type=kind, longest=9).loss(policy, seen)
    assert (float(out.sum.detach()), float(out.count)) == (pytest.approx(2.0), count)
    out.sum.backward()
    assert policy.out.grad is not None
    assert policy.out.grad.tolist() == pytest.approx([0.0, 0.0, 2.0])
    assert mean(out, "ratio") == 1.0, "metrics are of what counts"


def test_gspo_leaves_a_cut_answer_out_as_a_whole() -> None:
    seen = batch([2.0, 2.0, -2.0], counted=[0.0, 0.0, 1.0])
    out = GroupRelative(0.1, 0.2, loss_type="grpo", ratio="sequence").loss(Says([HALF, HALF, math.log(0.25)]), seen)
    assert (float(out.sum.detach()), float(out.count)) == (pytest.approx(1.8), 2.0)
    assert (mean(out, "ratio"), float(out.metrics["ratio"][1])) == (pytest.approx(0.5), 1.0)


def test_dapo_says_what_it_lacks() -> None:
    with pytest.raises(ValueError, match="mean length"):
        GroupRelative(loss_type="dapo").loss(Says([HALF] * 3), batch([1.0, 1.0, -2.0]))


def test_gspo_takes_the_geometric_mean_of_an_answers_ratios() -> None:
    # Answer 1: √(1.2·1.25) = 1.2247 with A = 2, clipped at 1.2. Answer 2: ½ with A = −2, clipped at 0.9: 1.8.
    objective = GroupRelative(0.1, 0.2, loss_type="grpo", ratio="sequence")
    out = objective.loss(Says([math.log(0.6), math.log(0.625), math.log(0.25)]), batch([2.0, 2.0, -2.0]))
    assert float(out.sum.detach()) == pytest.approx(-2.4 + 1.8, abs=1e-6)
    assert (float(out.count), out.unit) == (2.0, "answer")
    assert mean(out, "ratio") == pytest.approx((math.sqrt(1.5) + 0.5) / 2)
    assert mean(out, "clip_fraction") == 1.0
    # Per token all the same: k3 of ratios 1.2, 1.25 and ½.
    k3 = (0.2 - math.log(1.2)) + (0.25 - math.log(1.25)) + (-0.5 + LN2)
    assert mean(out, "approx_kl") == pytest.approx(k3 / 3, abs=1e-6)


def test_the_gradient_of_gspo_is_shared_by_an_answers_tokens() -> None:
    inside = Says([math.log(0.55), math.log(0.5 * 1.21 / 1.1), HALF])  # ratios 1.1 and 1.1: their mean is 1.1
    out = GroupRelative(loss_type="grpo", ratio="sequence").loss(inside, batch([2.0, 2.0, -2.0]))
    assert float(out.sum.detach()) == pytest.approx(-2.2 + 2.0, abs=1e-6)
    out.sum.backward()
    # ∂(−s·A)/∂ log π = −s·A / length at each token: −1.1·2 / 2, and 2.
    assert inside.out.grad is not None
    assert inside.out.grad.tolist() == pytest.approx([-1.1, -1.1, 2.0], rel=1e-5)


def test_gspo_and_token_ratios_start_with_the_same_gradient() -> None:
    """Where nothing has moved yet every ratio is 1, and mean over tokens then answers is the same sum."""
    slopes = []
    for ratio in ("token", "sequence"):
        policy = Says([HALF] * 3)
        GroupRelative(loss_type="grpo", ratio=ratio).loss(policy, batch([2.0, 2.0, -2.0])).sum.backward()  # type: ignore[arg-type]
        assert policy.out.grad is not None
        slopes.append(policy.out.grad.tolist())
    assert slopes[0] == pytest.approx(slopes[1])


def test_grpo_without_a_pull_needs_no_reference() -> None:
    assert float(GroupRelative().loss(Says([HALF] * 3), batch([1.0, 1.0, -2.0])).sum.detach()) == pytest.approx(0.0)
