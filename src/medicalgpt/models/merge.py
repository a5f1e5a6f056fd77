"""Fold a LoRA adapter into its base without changing what the model says, and prove it."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medicalgpt.errors import ModelError
from medicalgpt.models.adapters import is_adapted, take_out_token_rows
from medicalgpt.models.policy import CausalPolicy, unwrap
from medicalgpt.models.probe import probe_trees
from medicalgpt.models.reward import RewardPolicy
from medicalgpt.render.batch import TreeBatch, pad_trees

# Largest |Δ log p| that folding may cause: fp32 rounding is about 1e-5, bf16 rounds weights to three digits.
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.15, torch.float16: 0.05}
CERTIFICATE = "merge_certificate.json"


def probe_batch(model: nn.Module) -> TreeBatch:
    """Fixed token sequences on which a model is compared with its merged self."""
    vocabulary = int(model.get_input_embeddings().weight.shape[0])  # type: ignore[operator]
    return pad_trees(probe_trees(vocabulary)).to(next(model.parameters()).device)


@torch.no_grad()
def merge(model: nn.Module) -> tuple[nn.Module, dict[str, Any]]:
    """Merge the active adapter into the base weights.

    Returns:
        The plain model and its certificate: max |Δ log p| (of a reward model: |Δ score|), greedy agreement, tolerance.

    Raises:
        ModelError: there is no adapter, the base is quantised, or the merged model differs by more than the tolerance.
    """
    if not is_adapted(model):
        raise ModelError("this model has no adapter to merge")
    if getattr(model, "is_loaded_in_4bit", False) or getattr(model, "is_loaded_in_8bit", False):
        raise ModelError(
            "merging into quantised weights would change the model; load the base with quantization=none first"
        )
    model.eval()
    batch = probe_batch(model)
    before, hits_before = _says(model, batch)
    take_out_token_rows(model)  # peft folds in only what is not in yet
    merged = model.merge_and_unload()  # type: ignore[operator]
    after, hits_after = _says(merged, batch)
    gap = float((before - after).abs().max())
    tolerance = TOLERANCE.get(next(merged.parameters()).dtype, 0.15)
    certificate = {
        "max_abs_delta_logp": gap,
        "greedy_agreement": float((hits_before == hits_after).float().mean()),
        "tolerance": tolerance,
        "positions": len(before),
    }
    if gap > tolerance:
        raise ModelError(
            f"the merged model differs from the adapter by {gap:.3g} in log-probability, more than {tolerance}"
        )
    return merged, certificate


def _says(model: nn.Module, batch: TreeBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities and hits of a language model; scores, and their signs, of a reward model."""
    if unwrap(model).can_generate():  # type: ignore[operator]
        return CausalPolicy(model, "padded", chunked_head=False).logps(batch)
    scores = RewardPolicy(model, "padded").scores(batch)
    return scores, scores > 0


def write_certificate(folder: Path, certificate: dict[str, Any]) -> None:
    """Store the certificate beside the weights."""
    (folder / CERTIFICATE).write_text(json.dumps(certificate, indent=1), encoding="utf-8")
