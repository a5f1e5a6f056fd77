"""The state a model is in while it generates, and as it was before afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from transformers import GenerationConfig

from medicalgpt.kernels import attention
from medicalgpt.models.causal_lm import CausalLM

_SETTINGS = "generation_config"


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
def own_attention(model: CausalLM) -> Iterator[None]:
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
def attention_named(model: CausalLM, name: str) -> Iterator[None]:
    """A registered attention function in place of the model's present one."""
    before = model.config._attn_implementation
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


@contextmanager
def own_settings_aside(*models: nn.Module | CausalLM) -> Iterator[None]:
    """`generate` fills gaps from the model's generation_config.json; only `Sampling` shall decide here."""
    before = [getattr(model, _SETTINGS) for model in models]
    try:
        for model in models:
            setattr(model, _SETTINGS, GenerationConfig())
        yield
    finally:
        for model, own in zip(models, before):
            setattr(model, _SETTINGS, own)
