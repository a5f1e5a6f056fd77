"""Log-likelihoods of an item's options under a model, for whole bundles of items in one pass."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch

from medicalgpt.errors import ContextError
from medicalgpt.evaluation.continuations import Continuation, behind_text, behind_turn
from medicalgpt.evaluation.prefixes import bundles, in_rows, in_tree
from medicalgpt.evaluation.prompts import Asking
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.rendering.template import ChatTemplate

DIGITS = 6
"""Decimals that log-likelihoods are kept with. Picks are made of what is kept, so that anyone finds them again."""
_CACHED: Final = 1024
"""Tokens of one pass that a CPU's caches hold: of 4,096 an item took 12 to 15 % longer (135M, 2 MiB of cache a core)."""


@dataclass(frozen=True, slots=True)
class Scored:
    """An item in one order of its options: for each scoring the log-likelihood of every option shown, in nats, and how
    many tokens and bytes the options' texts have."""

    order: tuple[int, ...]
    logps: Mapping[str, list[float]]
    tokens: list[int] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Encoded:
    """An asking as token ids: the continuations of each scoring."""

    asking: Asking
    answers: Mapping[str, list[Continuation]]

    @property
    def all(self) -> list[Continuation]:
        """Every continuation, scoring by scoring."""
        return [path for paths in self.answers.values() for path in paths]


class ChoiceScorer:
    """Scores items with a model: as trees where it computes them right, else padded.

    Args:
        chat: whether prompts are opened turns of the template.
        capacity: tokens after which a bundle is closed.
        context: most tokens of prompt and answer together; None: no limit is known.
    """

    def __init__(
        self, policy: CausalPolicy, template: ChatTemplate, chat: bool, capacity: int, context: int | None
    ) -> None:
        self.policy, self.template, self.capacity, self.context = policy, template, capacity, context
        self._behind = behind_turn if chat else behind_text

    def encode(self, askings: Sequence[Asking]) -> list[Encoded]:
        """Token ids of an item's askings.

        Raises:
            ContextError: one is longer than the model's context.
        """
        found = []
        for asking in askings:
            texts = [text for answers in asking.answers.values() for text in answers]
            paths = iter(self._behind(self.template, asking.prompt, texts))
            found.append(Encoded(asking, {name: [next(paths) for _ in a] for name, a in asking.answers.items()}))
        longest = max(len(path.ids) for encoded in found for path in encoded.all)
        if self.context is not None and longest > self.context:
            raise ContextError(f"{longest} tokens, and the model's context is {self.context}")
        return found

    def bundles(self, items: Sequence[list[Encoded]], sharing: bool = True) -> Iterator[list[int]]:
        """Numbers of consecutive items that are computed together. `sharing`: they begin alike, so that many together are less
        work; where they do not, a CPU is given no more than its caches hold."""
        groups = ((number, [p for e in encoded for p in e.all]) for number, encoded in enumerate(items))
        cached = not sharing and self._device.type == "cpu"
        return bundles(groups, min(self.capacity, _CACHED) if cached else self.capacity)

    @property
    def _device(self) -> torch.device:
        return next(self.policy.parameters()).device

    def score(self, items: Sequence[list[Encoded]]) -> list[list[Scored]]:
        """One pass over a bundle of items."""
        paths = [path for encoded in items for one in encoded for path in one.all]
        asked = in_tree(paths) if self.policy.batching == "tree" else in_rows(paths, self.template.pad_id or 0)
        logps = self.policy.candidates(
            asked.batch.to(self._device), asked.states.to(self._device), asked.targets.to(self._device)
        )
        sums = np.zeros(len(paths))
        np.add.at(sums, asked.owner, logps.double().cpu().numpy())
        rest = iter(np.round(sums, DIGITS).tolist())
        return [[_scored(one, rest) for one in encoded] for encoded in items]


def _scored(one: Encoded, values: Iterator[float]) -> Scored:
    logps = {name: [next(values) for _ in paths] for name, paths in one.answers.items()}
    texts = one.answers.get("text", [])
    return Scored(one.asking.order, logps, [path.tokens for path in texts], [path.bytes for path in texts])
