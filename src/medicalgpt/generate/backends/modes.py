"""The state a model is in while it generates, and as it was before afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import GenerationConfig

from medicalgpt.kernels import attention


def context_of(inner: Any) -> int | None:
    """Most tokens of prompt and answer together, as far as a model's config says."""
    found = getattr(inner.config.get_text_config(), "max_position_embeddings", None)
    return int(found) if found else None


@contextmanager
def inference(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every module is in the mode it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def own_attention(model: Any) -> Iterator[None]:
    """The attention a model was loaded with: without a tree, tree attention has no soft-capping (Gemma 2)."""
    tree = getattr(model.config, "_attn_implementation", None) == "tree"
    if tree:
        attention.disable(model)
    try:
        yield
    finally:
        if tree:
            attention.enable(model)


@contextmanager
def attention_named(model: Any, name: str) -> Iterator[None]:
    """A registered attention function in place of the model's present one."""
    before = model.config._attn_implementation
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


@contextmanager
def own_settings_aside(*models: Any) -> Iterator[None]:
    """`generate` fills gaps from the model's generation_config.json; only `Sampling` shall decide here."""
    before = [model.generation_config for model in models]
    try:
        for model in models:
            model.generation_config = GenerationConfig()
        yield
    finally:
        for model, own in zip(models, before):
            model.generation_config = own
