"""How a model is tried before it is used: in which number type, on whose forward pass, with a backward pass or without."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import nn

from medicalgpt.kernels.quantized_linear import Int4Linear, Int8Linear
from medicalgpt.models.shard import runs_on

# Largest difference of a log-probability that is still rounding. fp32 rounding in a 30-layer model is about 1e-5.
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.25, torch.float16: 0.05}
# Largest difference of the gradient's length, relative to it.
SLOPE_TOLERANCE = {torch.float32: 1e-2, torch.bfloat16: 0.25, torch.float16: 0.1}

Run: TypeAlias = Callable[[Callable[[], torch.Tensor]], torch.Tensor]
"""Runs a forward pass of a model, such as inside that of a wrapper around it."""


def directly(forward: Callable[[], torch.Tensor]) -> torch.Tensor:
    """A forward pass of a model that lies in memory as a whole."""
    return forward()


def coarsest(model: nn.Module, autocast: torch.dtype | None = None) -> torch.dtype:
    """The number type that decides how exact `model` is: its weights', or that of its products."""
    kinds = {type(module) for module in model.modules()}
    dtype = next(model.parameters()).dtype
    # Our 4-bit layers compute in bfloat16, our 8-bit ones with 15 bits of each activation, whatever type the model has.
    if Int4Linear in kinds:
        dtype = torch.bfloat16
    elif Int8Linear in kinds:
        dtype = torch.float16
    dtype = dtype if dtype in TOLERANCE else torch.bfloat16
    return max((dtype, autocast or dtype), key=TOLERANCE.__getitem__)


def rounding(model: nn.Module) -> float:
    """Largest difference in log-probability that two ways of running `model` may have."""
    return TOLERANCE[coarsest(model)]


@dataclass(frozen=True)
class Outcome:
    """What a way of running a model gave: numbers, and the length of the gradient of their sum (0 without backward pass)."""

    values: torch.Tensor
    slope: float

    def objection(self, truth: "Outcome", dtype: torch.dtype, unit: str) -> str:
        """How this differs from the plain way's by more than rounding; empty where it does not."""
        gap = float((self.values - truth.values).abs().max())
        if not gap <= TOLERANCE[dtype]:
            return f"differs by {gap:.2g} in {unit}"
        if not abs(self.slope - truth.slope) <= SLOPE_TOLERANCE[dtype] * truth.slope:
            return f"has a gradient of length {self.slope:.3g} where it is {truth.slope:.3g}"
        return ""


@dataclass(frozen=True)
class Trial:
    """How a model is tried: as it will be used.

    `autocast` is the number type of its forward passes (None: the model's own). With `backward` a way must also give the
    gradient of the plain one: some kernels have a forward pass on a device and no backward pass.
    """

    autocast: torch.dtype | None = None
    backward: bool = False
    run: Run = directly

    def outcome(self, model: nn.Module, forward: Callable[[], torch.Tensor]) -> Outcome:
        """What `forward` gives."""
        trained = [p for p in model.parameters() if p.requires_grad] if self.backward else []
        device = runs_on(model).type
        with torch.set_grad_enabled(bool(trained)):
            with torch.autocast(device, self.autocast, enabled=self.autocast is not None):
                found = self.run(forward)
            try:
                if trained:
                    found.sum().backward()
                held = [local(p.grad).double().square().sum().cpu() for p in trained if p.grad is not None]
            finally:
                for parameter in trained:
                    parameter.grad = None
        return Outcome(found.detach(), float(torch.stack(held).sum().sqrt()) if held else 0.0)


PLAIN = Trial()


def local(tensor: torch.Tensor) -> torch.Tensor:
    """This process's part of a sharded tensor; another tensor as it is."""
    part: torch.Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return part
