"""When to stop a run that harms its model: limits on KL, entropy, stop rate and held-out answers, with a verdict."""

import math
from collections.abc import Mapping

from medicalgpt.config.rl import HealthConfig


def verdict(config: HealthConfig, update: int, line: Mapping[str, float], first: Mapping[str, float]) -> str | None:
    """What is wrong after an update, and what to change; None when nothing is.

    Args:
        line: the update's metrics (`train/…`), with held-out ones (`eval/…`) where they were measured.
        first: the held-out metrics before the first update.
    """
    broken = sorted(name for name, value in line.items() if not math.isfinite(value))
    if broken:
        return f"update {update}: {', '.join(broken)} not finite. Try a lower learning rate or model.dtype=float32"
    checks = (
        _gap(config, line),
        _kl(config, line),
        _entropy(config, line),
        _stops(config, line, first),
        _quality(config, line, first),
    )
    found = [text for text in checks if text]
    return f"update {update}: {'; '.join(found)}" if found else None


def _gap(config: HealthConfig, line: Mapping[str, float]) -> str | None:
    gap = line.get("train/logprob_gap", 0.0)
    if config.max_logprob_gap is None or gap <= config.max_logprob_gap:
        return None
    return (
        f"the servers' log-probabilities differ from the trained model's by {gap:.3f} nats per token, above "
        f"health.max_logprob_gap={config.max_logprob_gap:g}: the answers come from another model. Look at the servers' log for the "
        "adapter, and start them with the same base and number type and, unless rollout.temperature is 1, with "
        "--logprobs-mode processed_logprobs"
    )


def _kl(config: HealthConfig, line: Mapping[str, float]) -> str | None:
    if config.max_kl is None or line.get("train/kl", 0.0) <= config.max_kl:
        return None
    return (
        f"KL to the reference is {line['train/kl']:.1f} nats per answer, above health.max_kl={config.max_kl:g}: the policy has "
        "left the language it started from. Raise objective.beta or set target_kl, or lower train.learning_rate"
    )


def _entropy(config: HealthConfig, line: Mapping[str, float]) -> str | None:
    if config.min_entropy is None or line.get("train/entropy", math.inf) >= config.min_entropy:
        return None
    return (
        f"entropy is {line['train/entropy']:.4f} nats per token, below health.min_entropy={config.min_entropy:g}: the policy "
        "says the same whatever is asked. Lower the learning rate, raise objective.beta or (PPO) objective.entropy"
    )


def _stops(config: HealthConfig, line: Mapping[str, float], first: Mapping[str, float]) -> str | None:
    now, before = line.get("eval/stop_rate"), first.get("eval/stop_rate")
    if config.max_stop_rate_fall is None or now is None or before is None or before - now <= config.max_stop_rate_fall:
        return None
    return (
        f"the held-out stop rate fell from {before:.0%} to {now:.0%}, more than health.max_stop_rate_fall="
        f"{config.max_stop_rate_fall:.0%}: answers run into the length limit. Set reward.missing_stop_score or raise "
        "reward.missing_stop_penalty"
    )


def _quality(config: HealthConfig, line: Mapping[str, float], first: Mapping[str, float]) -> str | None:
    now, before = line.get("eval/answer_loss"), first.get("eval/answer_loss")
    if config.max_answer_loss_rise is None or now is None or before is None:
        return None
    rose = line.get("eval/score", 0.0) > first.get("eval/score", 0.0)
    if not rose or now - before <= config.max_answer_loss_rise:
        return None
    return (
        f"the score rose ({first['eval/score']:.3f} → {line['eval/score']:.3f}) while the loss of held-out reference answers rose "
        f"from {before:.3f} to {now:.3f} nats per token, more than health.max_answer_loss_rise="
        f"{config.max_answer_loss_rise:g}: the reward is being gamed. Raise objective.beta, or improve the reward model"
    )


def adapted(beta: float, kl: float, target: float | None, rate: float = 0.1) -> float:
    """β for the next update: raised while KL is above its target, lowered below it (arXiv 1909.08593, eq. 4).

    Args:
        kl: nats per answer in this update. target: None keeps β.
    """
    if target is None:
        return beta
    error = min(0.2, max(-0.2, kl / target - 1))
    return beta * (1 + rate * error)
