"""The numbers of a trained adapter, as they lie in its file."""

from pathlib import Path

import torch
from torch import nn

from medicalgpt.models.locate import Located

_FILE = "adapter_model.safetensors"


def restore_weights(model: nn.Module, adapter: Located, name: str = "default") -> int:
    """Give a loaded adapter every matrix that its file has under the model's own name for it; returns how many were others.

    peft reads an adapter's names as those of published weights, which it translates by patterns. A pattern that also fits
    a name that is right already leads nowhere, and the layer keeps the numbers it began with: of `mlp.shared_experts` in
    Laguna and Mistral Large 4 (transformers 5.23, peft 0.21), with a warning at most.

    Args:
        name: what the adapter is called in the model.
    """
    from peft import get_peft_model_state_dict
    from safetensors.torch import load_file

    file = Path(adapter.folder) / _FILE
    own = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    changed = 0
    with torch.no_grad():
        for key, stored in load_file(file).items():
            there = own.get(key) if ".lora_" in key else None
            if there is None or there.is_meta or there.shape != stored.shape:
                continue
            wanted = stored.to(there.device, there.dtype)
            if not torch.equal(there, wanted):
                there.copy_(wanted)
                changed += 1
    return changed
