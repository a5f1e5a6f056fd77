"""How far up a canary's secret stands among all secrets that it might have been: its rank by log-likelihood, and its exposure.

exposure = log2(candidates) − log2(rank), arXiv 1802.08232. A secret that was not learned has each rank equally often, so
rank / candidates is the p of "not learned", exactly and for any model.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from medicalgpt.data.records import Dialogue, Document, Message, Source
from medicalgpt.errors import RenderError
from medicalgpt.evaluation.continuations import Continuation
from medicalgpt.evaluation.leakage.canaries import Canary, CanaryKey
from medicalgpt.evaluation.prefixes import bundles, in_rows, in_tree
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.rendering.rows import render_dialogue, render_document
from medicalgpt.rendering.template import ChatTemplate

LEVEL: Final = 0.05
_LONG: Final = 1 << 20
_DIGITS: Final = 6  # decimals of log-likelihoods, as of tests
_PLANTED: Final = Source("canaries", 0)


@dataclass(frozen=True)
class Rank:
    """Where a secret stands among `candidates`, itself included: 1 is the likeliest; equally likely ones stand before it."""

    rank: int
    candidates: int

    @property
    def exposure(self) -> float:
        """In bits; log2(candidates) is the most."""
        return math.log2(self.candidates / self.rank)

    @property
    def p(self) -> float:
        """How often a secret that was not learned stands as far up."""
        return self.rank / self.candidates


def secrets(canary: Canary, digits: int, most: int, seed: int) -> tuple[list[str], bool]:
    """The secret first, then what else it might have been; and whether these are all there are, or `most` drawn ones."""
    if 10**digits <= most:
        return [canary.secret, *(s for n in range(10**digits) if (s := f"{n:0{digits}}") != canary.secret)], True
    dice, found = random.Random(f"candidates {seed} {canary.id}"), {canary.secret: None}
    while len(found) < most:
        found[f"{dice.randrange(10**digits):0{digits}}"] = None
    return list(found), False


def ranks(
    policy: CausalPolicy, template: ChatTemplate, key: CanaryKey, most: int, capacity: int
) -> Iterator[tuple[Canary, Rank, bool]]:
    """Each canary with its rank, and whether that is among all candidates."""
    for canary in key.canaries:
        others, whole = secrets(canary, key.digits, most, key.seed)
        scores = _scores(policy, template, _encoded(canary, key, others, template), capacity)
        yield canary, Rank(int((scores >= scores[0]).sum()), len(scores)), whole


def combined(found: Sequence[Rank]) -> float:
    """The p of "none of them was learned at all", which many small traces make small, too (Fisher 1925)."""
    total = -sum(math.log(one.p) for one in found)
    return float(torch.special.gammaincc(torch.tensor(float(len(found))).double(), torch.tensor(total).double()))


def _encoded(canary: Canary, key: CanaryKey, values: Sequence[str], template: ChatTemplate) -> list[Continuation]:
    """The answer with each secret behind the prompt, in the very tokens that training sees."""
    text = canary.with_secret(canary.secret)
    if key.kind == "document":
        rendered = render_document(Document(text, _PLANTED), template, _LONG)
        head = [template.document_start]
    else:
        turns = (Message("user", canary.question), Message("assistant", text))
        rendered = render_dialogue(Dialogue(turns, _PLANTED), template, _LONG)
        ids, weights = rendered.trees[0].path(0)
        head = ids[: int(np.flatnonzero(weights)[0])].tolist()
    paths = []
    for value in values:
        answer = canary.with_secret(value)
        paths.append(
            Continuation(np.asarray([*head, *template.encoder.ids(answer)], np.int32), len(head), len(answer.encode()))
        )
    ids, _ = rendered.trees[0].path(0)
    if not np.array_equal(ids[: len(paths[0].ids)], paths[0].ids):
        raise RenderError(
            "the template writes a canary's answer in other tokens than the answer alone has; canaries cannot be measured with it"
        )
    return paths


@torch.no_grad()
def _scores(policy: CausalPolicy, template: ChatTemplate, paths: Sequence[Continuation], capacity: int) -> np.ndarray:
    """Log-likelihood of every answer [candidates], in nats."""
    device, found = next(policy.parameters()).device, np.zeros(len(paths))
    groups: Iterator[list[int]]
    if policy.batching == "tree":
        groups = bundles(((number, [path]) for number, path in enumerate(paths)), capacity)
    else:
        each = max(1, capacity // max(len(path.ids) for path in paths))
        groups = (list(range(at, min(at + each, len(paths)))) for at in range(0, len(paths), each))
    for group in groups:
        mine = [paths[number] for number in group]
        asked = in_tree(mine) if policy.batching == "tree" else in_rows(mine, template.pad_id or 0)
        logps = policy.candidates(asked.batch.to(device), asked.states.to(device), asked.targets.to(device))
        sums = np.zeros(len(mine))
        np.add.at(sums, asked.owner, logps.double().cpu().numpy())
        found[group] = np.round(sums, _DIGITS)
    return found
