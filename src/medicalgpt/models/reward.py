"""A reward model seen the way objectives see it: a batch in, one score per answer out.

The model is transformers' own sequence classifier with one label, so that `AutoModelForSequenceClassification` reads
what we save; we differ in where its score is read (the trained stop token of every branch, never padding) and in
computing the prompt of a pair once.
"""

from typing import Any

import torch
from torch import nn

from medicalgpt.models.attention import disable
from medicalgpt.models.policy import Batching, call, unwrap
from medicalgpt.models.probe import TOLERANCE, Probe, probe_trees
from medicalgpt.render.batch import TreeBatch, pack_trees, pad_trees


class RewardPolicy(nn.Module):
    """Implements `Policy.scores` for a transformers sequence classifier with one label (with or without adapters)."""

    def __init__(self, model: nn.Module, batching: Batching = "tree") -> None:
        super().__init__()
        self.model = model
        self.batching = batching

    def scores(self, batch: TreeBatch) -> torch.Tensor:
        """Scores [leaves] in fp32 with gradient, in the order of `batch.ends`; unbounded, without unit."""
        inner: Any = unwrap(self.model)
        decoder = getattr(inner, inner.base_model_prefix)
        with call(batch) as kwargs:
            hidden = decoder(use_cache=False, **kwargs)[0]
        states = hidden.reshape(-1, hidden.shape[-1])[batch.ends]
        return inner.score(states)[:, 0].float()  # type: ignore[no-any-return]


@torch.no_grad()
def probe_scores(model: nn.Module, wanted: str = "auto") -> Probe:
    """Whether tree batches give the scores of padded ones; asked of the model itself, as models/probe.py does."""
    training = model.training
    model.eval()
    try:
        inner: Any = unwrap(model)
        trees = probe_trees(int(inner.config.get_text_config().vocab_size))
        parameter = next(model.parameters())
        truth = RewardPolicy(model, "padded").scores(pad_trees(trees).to(parameter.device))
        if wanted == "padded":
            disable(inner)
            return Probe("padded", False)
        if inner.config._attn_implementation != "tree":
            return Probe("padded", False, "its attention does not go through transformers' attention interface")
        try:
            found = RewardPolicy(model, "tree").scores(pack_trees(trees).to(parameter.device))
            gap = float((found - truth).abs().max())
            reason = "" if gap <= TOLERANCE.get(parameter.dtype, 0.25) else f"tree batching differs by {gap:.2g}"
        except Exception as error:  # whatever a foreign forward raises: this way does not work here
            reason = f"tree batching does not run on this model ({type(error).__name__})"
        if reason:
            disable(inner)
        return Probe("padded" if reason else "tree", False, reason)
    finally:
        model.train(training)
