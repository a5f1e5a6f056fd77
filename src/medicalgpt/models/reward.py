"""A reward model seen the way objectives see it: a batch in, one score per answer out.

The model is transformers' own sequence classifier with one label, so that `AutoModelForSequenceClassification` reads
what we save; we differ in where its score is read (the trained stop token of every branch, never padding) and in
computing the prompt of a pair once.
"""

import contextlib

import torch
from torch import nn

from medicalgpt.kernels.attention import disable, traced
from medicalgpt.kernels.ulysses import Peers
from medicalgpt.models.adapters import adapter_on
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.part import Part
from medicalgpt.models.passes import ALONE, Passes
from medicalgpt.models.policy import Batching
from medicalgpt.models.probe import NOT_ASKED, Probe, probe_trees, refusal
from medicalgpt.models.shard import runs_on
from medicalgpt.models.trial import PLAIN, Trial, coarsest
from medicalgpt.rendering.batch import TreeBatch, pack_trees, pad_trees

SCORE = "score"  # what transformers' classifiers call their last layer


class RewardPolicy(nn.Module):
    """Implements `Policy.scores` and `Policy.values` for a transformers sequence classifier with one label.

    With `head` it reads the hidden states of any decoder instead, under the adapter called `adapter` where one is named:
    reward model and critic can so live on the policy's own base.
    """

    def __init__(
        self, model: nn.Module, batching: Batching = "tree", head: nn.Module | None = None, adapter: str | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.batching = batching
        self.head = head
        self.adapter = adapter
        self.peers: Peers | None = None
        """The processes that share every row with this one; all must then make the same calls."""
        self.passes: Passes = ALONE
        """How whoever asks it for numbers runs it."""

    def scores(self, batch: TreeBatch) -> torch.Tensor:
        """Scores [leaves] in fp32 with gradient, in the order of `batch.ends`; unbounded, without unit."""
        return self._read(batch, batch.ends)

    def values(self, batch: TreeBatch) -> torch.Tensor:
        """Values [N] in fp32 with gradient, of the states that predict the batch's targets."""
        return self._read(batch, batch.at)

    def role(self) -> contextlib.AbstractContextManager[None]:
        """The adapter of this role is the active one inside; the backward pass belongs inside, too."""
        return contextlib.nullcontext() if self.adapter is None else adapter_on(self.model, self.adapter)

    def _read(self, batch: TreeBatch, at: torch.Tensor) -> torch.Tensor:
        inner, part = unwrap(self.model), Part(batch, self.peers)
        own = part.own(at)
        with self.role(), part.call() as kwargs:
            hidden: torch.Tensor = getattr(inner, inner.base_model_prefix)(use_cache=False, **kwargs)[0]
        states = hidden.reshape(-1, hidden.shape[-1])[own.at]
        head: nn.Module = getattr(inner, SCORE) if self.head is None else self.head
        scores: torch.Tensor = head(states.to(next(head.parameters()).dtype))
        return own.joined(scores[:, 0].float())


def probe_scores(model: nn.Module, wanted: str = "auto", trial: Trial = PLAIN) -> Probe:
    """Whether tree batches give the scores of padded ones; asked of the model itself, as models/probe.py does."""
    training = model.training
    model.eval()
    try:
        inner = unwrap(model)
        trees = probe_trees(int(inner.config.get_text_config().vocab_size))
        padded, packed = (build(trees).to(runs_on(model)) for build in (pad_trees, pack_trees))
        truth = trial.outcome(model, lambda: RewardPolicy(model, "padded").scores(padded))
        if wanted == "padded":
            disable(inner)
            return Probe("padded", False)
        if inner.config._attn_implementation != "tree":
            return Probe("padded", False, NOT_ASKED)
        try:
            with traced() as witness:
                found = trial.outcome(model, lambda: RewardPolicy(model, "tree").scores(packed))
            why = found.objection(truth, coarsest(model, trial.autocast), "score")
            why = why or witness.objection(inner.config.get_text_config())
            reason = refusal("", why)
        except Exception as error:  # whatever a foreign forward raises: this way does not work here
            reason = refusal("", f"does not run on this model ({type(error).__name__})")
        if reason:
            disable(inner)
        return Probe("padded" if reason else "tree", False, reason)
    finally:
        model.train(training)
