"""A model without weights, built from its config: what layers it has, before anything of it is loaded."""

import torch
import transformers
from torch import nn

from medicalgpt.models.families import native_class


def empty_model(config: transformers.PreTrainedConfig, trust_remote_code: bool = False) -> nn.Module:
    """The language model that a config describes, without storage. Raises whatever transformers does for one it cannot build."""
    auto = getattr(transformers, native_class(config.model_type) or "AutoModelForCausalLM")
    with torch.device("meta"):
        built: nn.Module = auto.from_config(config, trust_remote_code=trust_remote_code)
    return built
