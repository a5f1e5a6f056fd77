"""Linear layers on which an adapter would break the model or learn nothing, found in the model itself."""

from torch import nn

from medicalgpt.models.causal_lm import CausalLM, unwrap

# Linear layers whose weights a module reads without calling them, by what the module's class name ends with. An adapter
# there learns nothing: Gemma 3n clips these while it trains, and DeepSeek's indexer picks tokens without a gradient.
_UNCALLED = {"AltUp": ("correction_coefs",), "Indexer": ("wq_b", "wk", "weights_proj")}


def excluded_modules(model: nn.Module) -> list[str]:
    """Names of linear layers that get no adapter, whatever layers are asked for.

    Towers for pictures and sound see nothing of a text. Some routers of experts are linear layers by descent, but give
    two tensors (Llama 4). State-space layers (Mamba, Jamba, Granite 4) read the weights of two of their layers without
    calling them, in their kernels or always.
    """
    inner = unwrap(model)
    found = _beside_the_text(inner)
    for name, module in inner.named_modules():
        kind = type(module).__name__
        if isinstance(module, nn.Linear) and kind.endswith("Router"):
            found.append(name)
        parts = next((parts for ending, parts in _UNCALLED.items() if kind.endswith(ending)), ())
        if hasattr(module, "A_log") and hasattr(module, "D"):
            parts = ("dt_proj", "out_proj")
        found += [f"{name}.{part}" for part in parts if isinstance(getattr(module, part, None), nn.Linear)]
    return found


def _beside_the_text(model: CausalLM) -> list[str]:
    """Linear layers of a model for several media that are not part of its text decoder."""
    config = model.config
    if config.get_text_config() is config or not hasattr(model, "get_decoder"):
        return []
    text = {id(module) for module in model.get_decoder().modules()}
    return [n for n, m in model.named_modules() if isinstance(m, nn.Linear) and id(m) not in text]
