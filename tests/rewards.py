"""Reward functions for tests, named by this file's path; they import nothing of the tests, as other processes use them."""

import random
from collections.abc import Sequence
from typing import Any

Prompts = Sequence[Sequence[dict[str, Any]]]


def length(prompts: Prompts, completions: Sequence[str]) -> list[float]:
    """Characters of an answer, in tens."""
    return [len(c) / 10 for c in completions]


def vowels(prompts: Prompts, completions: Sequence[str]) -> list[float]:
    """Share of vowels, and a little for answering with a letter of the question: depends on both texts."""
    asked = [p[-1]["content"] for p in prompts]
    shares = [sum(x in "aeiou" for x in c.lower()) / max(1, len(c)) for c in completions]
    return [s + 0.1 * (c[:1] in q) for s, c, q in zip(shares, completions, asked)]


def drawn(prompts: Prompts, completions: Sequence[str]) -> list[float]:
    """A number from Python's own generator, which a checkpoint has to keep."""
    return [random.random() + 0.01 * len(c) for c in completions]


def share_of_a(prompts: Prompts, completions: Sequence[str]) -> list[float]:
    """Best is to say nothing but a: 1."""
    return [c.count("a") / max(1, len(c)) for c in completions]


def a_then_b(prompts: Prompts, completions: Sequence[str]) -> list[float]:
    """1 for a and then b, 0.1 for any other letter and its successor: what the first one was worth shows only later."""
    return [{"ab": 1.0, "bc": 0.1, "cd": 0.1, "da": 0.1}.get(c, 0.0) for c in completions]


def shuffled(prompts: Prompts, completions: Sequence[str]) -> list[float]:
    """The right scores of the wrong answers."""
    scores = share_of_a(prompts, completions)
    random.Random(len("".join(completions))).shuffle(scores)
    return scores


def equal(prompts: Prompts, completions: Sequence[str]) -> list[float]:
    """Nothing to be learned from."""
    return [0.0] * len(completions)


def begins_early(prompts: Prompts, completions: Sequence[str]) -> list[float]:
    """Right or wrong: whether the first letter stands in the first half of the alphabet."""
    return [float("a" <= c[:1].lower() <= "m") for c in completions]
