"""Which way of batching is right for a model: asked of the model itself, on a tiny tree, before training.

A small tree is run three ways. If tree batching gives the log-probabilities that each branch has alone, tree it is;
otherwise padded. If the chunked head gives those of the model's own forward, it is used; otherwise the model's own.
No list of model names can go stale this way.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from torch import nn

from medicalgpt.data.records import Source
from medicalgpt.kernels.attention import disable, traced
from medicalgpt.models.adapters import on_head
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.policy import Batching, CausalPolicy
from medicalgpt.models.shard import runs_on
from medicalgpt.models.trial import PLAIN, Outcome, Trial, coarsest
from medicalgpt.rendering.batch import TreeBatch, pack_trees, pad_trees
from medicalgpt.rendering.tree import Segment, TokenTree

NOT_ASKED: Final = (
    "its attention does not go through transformers' attention interface, has sinks, or sees chosen tokens only"
)


@dataclass(frozen=True)
class Probe:
    """What the probe found. `reason` says in one line why a faster way was refused, or is empty."""

    batching: Batching
    chunked_head: bool
    reason: str = ""


def probe_trees(vocabulary: int) -> list[TokenTree]:
    """Two small trees with branches of unequal length over arbitrary token ids."""
    rng = np.random.default_rng(0)

    def segment(n: int, parent: int) -> Segment:
        ids = rng.integers(0, vocabulary, n).astype(np.int32)
        weights = np.full(n, float(parent >= 0), np.float32)
        return Segment(ids, weights, parent)

    source = Source("probe", 0)
    return [
        TokenTree((segment(9, -1), segment(5, 0), segment(7, 0)), source),
        TokenTree((segment(6, -1), segment(3, 0), segment(4, 0), segment(2, 1)), source),
    ]


def probe(model: nn.Module, wanted: str = "auto", trial: Trial = PLAIN) -> Probe:
    """Find the fastest way of running `model` that gives the right numbers.

    Args:
        wanted: "auto", or "tree"/"padded" to ask for one; "tree" still falls back when it is wrong.
        trial: how it is tried; a model that is to be trained needs a backward pass, too.
    """
    training = model.training
    model.eval()
    try:
        inner = unwrap(model)
        trees = probe_trees(int(inner.config.get_text_config().vocab_size))
        device = runs_on(model)
        padded = pad_trees(trees).to(device)
        plain = CausalPolicy(model, "padded", chunked_head=False)
        truth = trial.outcome(model, lambda: plain.logps(padded)[0])
        chunked, why = _agrees(CausalPolicy(model, "padded", True), padded, truth, trial)
        if on_head(model):
            chunked, why = False, "would leave out the adapter on the head"
        if wanted == "padded":
            disable(inner)
            return Probe("padded", chunked, refusal(why, ""))
        packed = pack_trees(trees).to(device)
        if inner.config._attn_implementation != "tree":
            return Probe("padded", chunked, NOT_ASKED)
        with traced() as witness:
            tree, why_tree = _agrees(CausalPolicy(model, "tree", chunked), packed, truth, trial)
        why_tree = why_tree or witness.objection(inner.config.get_text_config())
        tree = not why_tree
        if not tree:
            disable(inner)
        return Probe("tree" if tree else "padded", chunked, refusal(why, why_tree))
    finally:
        model.train(training)


def refusal(head: str, trees: str) -> str:
    """Why a faster way was refused, in one line, from what each of the two lacks; empty where neither lacks anything."""
    if head and trees:
        return f"the chunked head {head}, and tree batching {trees}"
    return f"the chunked head {head}" if head else f"tree batching {trees}" if trees else ""


def _agrees(policy: CausalPolicy, batch: TreeBatch, truth: Outcome, trial: Trial) -> tuple[bool, str]:
    """Whether `policy` gives `truth`; `truth` is ordered as pad_trees orders, which pack_trees shares."""
    try:
        found = trial.outcome(policy.model, lambda: policy.logps(batch)[0])
    except Exception as error:  # whatever a foreign forward raises, the answer is the same: this way does not work here
        return False, f"does not run on this model ({type(error).__name__})"
    why = found.objection(truth, coarsest(policy.model, trial.autocast), "log-probability")
    return not why, why
