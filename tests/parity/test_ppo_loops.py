"""PPO against a reference written as loops over single answers with full logits; TRL 1.16 has no PPO to compare with."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.rl import Pieces, config, pieces, shake
from tests.stages import Bench
from tests.tiny import tiny_model
from tests.trees import assert_same_gradients

from medicalgpt.models.causal_lm import unwrap
from medicalgpt.objectives.ppo import ClippedValue
from medicalgpt.rewards.sources import Scores
from medicalgpt.training.rl.experience import assign, measure
from medicalgpt.training.rl.process_group import ProcessGroup
from medicalgpt.training.stages import policy_objective

BETA, GAMMA, LAM, T, CLIP, HIGH, VALUE_CLIP, ENTROPY = 0.2, 0.95, 0.9, 0.7, 0.2, 0.3, 0.15, 0.05
SETTINGS = (
    "rollout.completions=2",
    f"rollout.temperature={T}",
    f"objective.beta={BETA}",
    f"objective.gamma={GAMMA}",
    f"objective.lam={LAM}",
    f"objective.clip_high={HIGH}",
    f"objective.value_clip={VALUE_CLIP}",
    f"objective.entropy={ENTROPY}",
)
METHODS = pytest.mark.parametrize("lora", [True, False], ids=["lora", "full"])


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench.set_up(tmp_path_factory.mktemp("bench"))


def distribution(model: Any, prompt: tuple[int, ...], answer: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """log p of each token of one answer, and the entropy before it, from the model's own logits."""
    logits = model(input_ids=torch.tensor([prompt + answer]), use_cache=False).logits[0] / T
    logps, entropies = [], []
    for t, token in enumerate(answer):
        p = torch.softmax(logits[len(prompt) + t - 1], -1)
        logps.append(torch.log(p[token]))
        entropies.append(-(p * torch.log(p)).sum())
    return torch.stack(logps), torch.stack(entropies)


def values(p: Pieces, prompt: tuple[int, ...], answer: tuple[int, ...]) -> torch.Tensor:
    """The critic's value before each token of one answer."""
    critic: Any = p.roles.critic
    body = unwrap(critic.model).model  # type: ignore[union-attr]
    with critic.role():
        states = body(input_ids=torch.tensor([prompt + answer]), use_cache=False)[0][0]  # type: ignore[operator]
    return (
        torch.stack([(critic.head.weight[0] * states[len(prompt) + t - 1]).sum() for t in range(len(answer))])
        + (critic.head.bias[0])
    )


def expected_advantages(p: Pieces, scores: np.ndarray) -> tuple[list[float], list[float]]:
    """GAE and returns of every token, by the definitions, from the answers alone."""
    found, targets = [], []
    for score, (prompt, answer) in zip(scores.tolist(), answers(p)):
        with torch.no_grad():
            logps = distribution(p.roles.policy.model, prompt, answer)[0].tolist()
            v = values(p, prompt, answer).tolist()
            reference = reference_logps(p, prompt, answer)
        n = len(answer)
        rewards = [-BETA * (a - b) for a, b in zip(logps, reference)]
        rewards[-1] += score
        row = []
        for t in range(n):
            total = 0.0
            for k in range(t, n):
                after = v[k + 1] if k + 1 < n else 0.0
                total += (GAMMA * LAM) ** (k - t) * (rewards[k] + GAMMA * after - v[k])
            row.append(total)
        found += row
        targets += [a + b for a, b in zip(row, v)]
    mean = sum(found) / len(found)
    spread = math.sqrt(sum((a - mean) ** 2 for a in found) / len(found))
    return [(a - mean) / spread for a in found], targets


def reference_logps(p: Pieces, prompt: tuple[int, ...], answer: tuple[int, ...]) -> list[float]:
    if p.roles.reference is not None:
        return distribution(p.roles.reference.model, prompt, answer)[0].tolist()  # type: ignore[no-any-return]
    return distribution(tiny_model(), prompt, answer)[0].tolist()  # type: ignore[no-any-return]


def answers(p: Pieces) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    return [(tuple(g.row.ids), a.ids) for g in p.groups for a in g.answers]


def expected_losses(p: Pieces) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean policy and value loss over all tokens, token by token."""
    policy, critic, targets, i = [], [], p.seen.targets, 0
    for prompt, answer in answers(p):
        logps, entropy = distribution(p.roles.policy.model, prompt, answer)
        v = values(p, prompt, answer)
        for t in range(len(answer)):
            advantage, old, target = (float(getattr(targets, n)[i]) for n in ("advantages", "old", "returns"))
            ratio = torch.exp(logps[t] - old)
            bounded = torch.clamp(ratio, 1 - CLIP, 1 + HIGH)
            policy.append(-torch.min(ratio * advantage, bounded * advantage) - ENTROPY * entropy[t])
            before = float(targets.old_values[i])
            near = before + torch.clamp(v[t] - before, -VALUE_CLIP, VALUE_CLIP)
            critic.append(0.5 * torch.max((v[t] - target) ** 2, (near - target) ** 2))
            i += 1
    return torch.stack(policy).mean(), torch.stack(critic).mean()


@METHODS
def test_ppo_is_the_loops(bench: Bench, tmp_path: Path, lora: bool) -> None:
    p = pieces(config(bench, "ppo", tmp_path / "run", *SETTINGS, f"lora.enabled={str(lora).lower()}"))
    trained = p.roles.trained()
    shake(trained, 0.03 if lora else 0.01)
    p.seen = measure(p.roles, p.groups, 64, 3)
    scores = np.random.default_rng(0).normal(size=8)
    assign(p.config, p.seen, Scores(scores, scores), BETA, ProcessGroup(0, 1, torch.device("cpu")))
    advantages, returns = expected_advantages(p, scores)
    for name, wanted in (("advantages", advantages), ("returns", returns)):
        torch.testing.assert_close(getattr(p.seen.targets, name), torch.tensor(wanted).float(), rtol=1e-4, atol=1e-4)

    shake(trained, 0.03 if lora else 0.012, seed=9)
    players: list[tuple[str, Any, Any]] = [
        ("policy.", p.roles.policy, policy_objective(p.config)),
        ("critic.", p.roles.critic, ClippedValue(VALUE_CLIP)),
    ]
    for (half, player, objective), mean in zip(players, expected_losses(p)):
        parts = [objective.loss(player, batch) for batch in p.batches(range(4), capacity=64)]
        loss = sum(out.sum for out in parts) / sum(out.count for out in parts)
        torch.testing.assert_close(loss.detach(), mean.detach(), rtol=1e-5, atol=1e-5)
        mine = {n: q for n, q in trained.items() if n.startswith(half)}
        slopes = [torch.autograd.grad(x, list(mine.values()), retain_graph=True) for x in (loss, mean)]
        assert_same_gradients(*(dict(zip(mine, s)) for s in slopes))
        if half == "policy.":
            clipped = sum(float(out.metrics["clip_fraction"][0]) for out in parts)
            assert 0 < clipped < len(advantages), "clipping should have been at work"
