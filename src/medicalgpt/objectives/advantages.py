"""From scores of whole answers to an advantage for every token.

Completions lie end to end: a tensor [N] holds one value a token, `lengths` [S] says how many belong to each completion.
"""

from typing import Literal

import torch

KlEstimator = Literal["k1", "k3"]


def kl_terms(logps: torch.Tensor, reference: torch.Tensor, estimator: KlEstimator = "k1") -> torch.Tensor:
    """Estimate of KL(policy ‖ reference) from each sampled token [N], in nats.

    k1 = log p − log p_ref is unbiased and may be negative; k3 = p_ref/p − 1 − log(p_ref/p) is unbiased, never negative
    and varies less (Schulman, "Approximating KL divergence", 2020; arXiv 2402.03300).
    """
    gap = logps - reference
    return gap if estimator == "k1" else torch.expm1(-gap) + gap


def token_rewards(
    scores: torch.Tensor, kl: torch.Tensor, lengths: torch.Tensor, beta: float | torch.Tensor
) -> torch.Tensor:
    """−β·KL at every token, and the answer's score [S] at its last one (arXiv 2203.02155); shape [N]."""
    rewards = -beta * kl
    rewards[lengths.cumsum(0) - 1] += scores.to(rewards.dtype)
    return rewards


def per_completion(values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Sums [S] of token values [N] over each completion."""
    owner = torch.repeat_interleave(torch.arange(len(lengths), device=values.device), lengths)
    return torch.zeros(len(lengths), dtype=values.dtype, device=values.device).index_add(0, owner, values)


def gae(
    rewards: torch.Tensor, values: torch.Tensor, lengths: torch.Tensor, gamma: float = 1.0, lam: float = 0.95
) -> torch.Tensor:
    """Generalized advantage estimation (arXiv 1506.02438) for every token [N].

    δ_t = r_t + γ·V_{t+1} − V_t and A_t = δ_t + γλ·A_{t+1}. V_t is the value before token t is drawn; behind the last
    token the value is 0, also where a completion was cut at its length limit.
    """
    table, mask = _columns(lengths)
    r, v = (torch.where(mask, x[table], 0.0) for x in (rewards, values))
    advantages = torch.zeros_like(r)
    later_value = later_advantage = torch.zeros_like(r[:, 0])
    for t in range(r.shape[1] - 1, -1, -1):
        delta = r[:, t] + gamma * later_value - v[:, t]
        # Padding behind a completion has reward and value 0 and so hands on 0.
        later_advantage = advantages[:, t] = delta + gamma * lam * later_advantage
        later_value = v[:, t]
    return advantages[mask]


def _columns(lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices [S, T] of every completion's tokens in the flat tensor, and which of them are real."""
    steps = torch.arange(int(lengths.max()), device=lengths.device)
    mask = steps < lengths[:, None]
    starts = lengths.cumsum(0) - lengths
    return torch.where(mask, starts[:, None] + steps, 0), mask


def leave_one_out(scores: torch.Tensor) -> torch.Tensor:
    """Score minus the mean of the other answers to the same prompt [G, n] (RLOO, arXiv 2402.14740).

    Raises:
        ValueError: fewer than two answers a prompt.
    """
    n = scores.shape[1]
    if n < 2:
        raise ValueError(f"leave-one-out needs at least 2 completions a prompt, not {n}")
    return (scores - scores.mean(1, keepdim=True)) * (n / (n - 1))


def group_relative(scores: torch.Tensor, scale: bool = True) -> torch.Tensor:
    """Score minus the group's mean, over its standard deviation with `scale` [G, n] (GRPO, arXiv 2402.03300).

    Without `scale`: Dr. GRPO (arXiv 2503.20783), which does not favor prompts whose answers score alike.
    """
    if scores.shape[1] < 2:
        raise ValueError(f"a group needs at least 2 completions a prompt, not {scores.shape[1]}")
    centered = scores - scores.mean(1, keepdim=True)
    return centered / (scores.std(1, keepdim=True) + 1e-4) if scale else centered
