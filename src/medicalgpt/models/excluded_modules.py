"""Linear layers on which an adapter would break the model or learn nothing, found in the model itself."""

from torch import nn

from medicalgpt.models.causal_lm import CausalLM, output_head, unwrap

# Linear layers whose weights a module reads without calling them, by what the module's class name ends with. An adapter
# there learns nothing: Gemma 3n clips these while it trains, and LongCat's router multiplies by the matrix itself.
_UNCALLED: dict[str, tuple[str, ...]] = {
    "AltUp": ("correction_coefs",),
    "LongcatFlashTopkRouter": ("classifier",),
}


def excluded_modules(model: nn.Module) -> list[str]:
    """Names of linear layers that get no adapter, whatever layers are asked for.

    Towers for pictures and sound see nothing of a text. Some routers of experts are linear layers by descent, but give
    two tensors (Llama 4), and DeepSeek V4's grouped layers multiply groups by parts of one matrix. State-space layers
    (Mamba, Jamba, Granite 4) read the weights of two of their layers without calling them, in their kernels or always.
    Indexers (DeepSeek V3.2 and V4, GLM-5, MiniMax M3) choose tokens, without a gradient.
    """
    inner = unwrap(model)
    found = _beside_the_text(inner)
    for name, module in inner.named_modules():
        kind = type(module).__name__
        if kind.endswith("Indexer"):
            found += [f"{name}.{part}" for part, inside in module.named_modules() if isinstance(inside, nn.Linear)]
        if isinstance(module, nn.Linear) and kind.endswith(("Router", "GroupedLinear")):
            found.append(name)
        parts = next((parts for ending, parts in _UNCALLED.items() if kind.endswith(ending)), ())
        if hasattr(module, "A_log") and hasattr(module, "D"):
            parts = ("dt_proj", "out_proj")
        found += [f"{name}.{part}" for part in parts if isinstance(getattr(module, part, None), nn.Linear)]
    return found


def unreached_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Weights that no loss on text reaches, whatever is trained: towers for pictures and sound, and indexers' choices."""
    inner = unwrap(model)
    found = [p for m in inner.modules() if type(m).__name__.endswith("Indexer") for p in m.parameters()]
    text = _text_decoder(inner)
    if text is None:
        return found
    head = output_head(inner) or getattr(inner, "score", None)
    parts = [text, *([head] if isinstance(head, nn.Module) else [])]
    read = {id(p) for module in parts for p in module.parameters()}
    return found + [p for p in inner.parameters() if id(p) not in read]


def _beside_the_text(model: CausalLM) -> list[str]:
    """Linear layers of a model for several media that are not part of its text decoder."""
    decoder = _text_decoder(model)
    if decoder is None:
        return []
    text = {id(module) for module in decoder.modules()}
    return [n for n, m in model.named_modules() if isinstance(m, nn.Linear) and id(m) not in text]


def _text_decoder(model: CausalLM) -> nn.Module | None:
    """The decoder of a model for several media; None for one that reads text only."""
    config = model.config
    if config.get_text_config() is config or not hasattr(model, "get_decoder"):
        return None
    return model.get_decoder()
