"""Which way of batching is right for a model: asked of the model itself, on a tiny tree, before training.

A small tree is run three ways. If tree batching gives the log-probabilities that each branch has alone, tree it is;
otherwise padded. If the chunked head gives those of the model's own forward, it is used; otherwise the model's own.
No list of model names can go stale this way.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from medicalgpt.data.records import Source
from medicalgpt.kernels.attention import disable, traced
from medicalgpt.kernels.quantized_linear import Int4Linear, Int8Linear
from medicalgpt.models.adapters import on_head
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.policy import Batching, CausalPolicy
from medicalgpt.rendering.batch import TreeBatch, pack_trees, pad_trees
from medicalgpt.rendering.tree import Segment, TokenTree

# Largest difference of a log-probability that is still rounding. fp32 rounding in a 30-layer model is about 1e-5.
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.25, torch.float16: 0.05}


def rounding(model: nn.Module) -> float:
    """Largest difference in log-probability that two ways of running `model` may have."""
    kinds = {type(module) for module in model.modules()}
    dtype = next(model.parameters()).dtype
    # Our 4-bit layers compute in bfloat16, our 8-bit ones with 15 bits of each activation, whatever type the model has.
    if Int4Linear in kinds:
        dtype = torch.bfloat16
    elif Int8Linear in kinds:
        dtype = torch.float16
    return TOLERANCE.get(dtype, 0.25)


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


@torch.no_grad()
def probe(model: nn.Module, wanted: str = "auto") -> Probe:
    """Find the fastest way of running `model` that gives the right numbers.

    Args:
        wanted: "auto", or "tree"/"padded" to ask for one; "tree" still falls back when it is wrong.
    """
    training = model.training
    model.eval()
    try:
        inner = unwrap(model)
        trees = probe_trees(int(inner.config.get_text_config().vocab_size))
        device = next(model.parameters()).device
        padded = pad_trees(trees).to(device)
        truth = CausalPolicy(model, "padded", chunked_head=False).logps(padded)[0]
        tolerance = rounding(model)
        chunked, why = _agrees(CausalPolicy(model, "padded", True), padded, truth, tolerance)
        if on_head(model):
            chunked, why = False, "would leave out the adapter on the head"
        if wanted == "padded":
            disable(inner)
            return Probe("padded", chunked, why and f"the chunked head {why}")
        packed = pack_trees(trees).to(device)
        if inner.config._attn_implementation != "tree":
            return Probe(
                "padded", chunked, "its attention does not go through transformers' attention interface, or has sinks"
            )
        with traced() as witness:
            tree, why_tree = _agrees(CausalPolicy(model, "tree", chunked), packed, truth, tolerance)
        why_tree = why_tree or witness.objection(inner.config.get_text_config())
        tree = not why_tree
        if not tree:
            disable(inner)
        reasons = [f"the chunked head {why}"] * bool(why) + [f"tree batching {why_tree}"] * bool(why_tree)
        return Probe("tree" if tree else "padded", chunked, "; ".join(reasons))
    finally:
        model.train(training)


def _agrees(policy: CausalPolicy, batch: TreeBatch, truth: torch.Tensor, tolerance: float) -> tuple[bool, str]:
    """Whether `policy` gives `truth`; `truth` is ordered as pad_trees orders, which pack_trees shares."""
    try:
        found = policy.logps(batch)[0]
    except Exception as error:  # whatever a foreign forward raises, the answer is the same: this way does not work here
        return False, f"does not run on this model ({type(error).__name__})"
    gap = float((found - truth).abs().max())
    return (True, "") if gap <= tolerance else (False, f"differs by {gap:.2g} in log-probability")
