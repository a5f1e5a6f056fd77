"""Which device a model trains on, and putting it there before anything is asked of it.

transformers.Trainer moves the one module it trains, and only when training begins. By then a probe has chosen kernels, cached
references have been computed and second models lie elsewhere; so whoever loads a model for training places it at once.
"""

import torch
from accelerate import PartialState
from torch import nn

from medicalgpt.kernels.device import accelerator
from medicalgpt.models.causal_lm import unwrap


def training_device() -> torch.device:
    """The device of this process."""
    device = PartialState(cpu=accelerator() is None).device
    return device if isinstance(device, torch.device) else torch.device("cpu")


def place(model: nn.Module) -> None:
    """Move a loaded model to this process's device; one that was quantized while it was loaded lies there already."""
    if getattr(unwrap(model), "hf_device_map", None) is None:
        model.to(training_device())
