"""A model of which each process holds a part: weights, gradients and moments (torch's FSDP2, `fully_shard`).

A layer is gathered while it runs; what is above and below the layers (embeddings, last norm, head, anything that an objective
has) is one group, the root's, gathered while the root's forward pass runs. Three rules follow, each of which is a test:

    Nothing reads a weight outside that pass: whoever must goes through `StageModule.within`.
    The root is freed after a forward pass that no backward pass follows, or an optimizer made next would hold whole copies.
    All processes run the same passes: one that ran alone would wait for the others' parts for ever.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import (
    CPUOffloadPolicy,
    FSDPModule,
    MixedPrecisionPolicy,
    OffloadPolicy,
    fully_shard,
    register_fsdp_forward_method,
)
from torch.distributed.tensor import DTensor, distribute_tensor

from medicalgpt.errors import ConfigError
from medicalgpt.kernels.device import accelerator
from medicalgpt.kernels.free_memory import free_memory
from medicalgpt.models.causal_lm import unwrap


@dataclass(frozen=True)
class Sharding:
    """How a model is divided: over which processes, and whether layers are freed between forward and backward pass.

    `compute` is the type that whole fp32 weights are gathered in, half of the traffic (None: their own type). `each` adds
    gradients up after every micro-batch. With `offload` this process's part lies in main memory, and so do its gradients and moments.
    """

    mesh: DeviceMesh
    reshard: bool = True
    each: bool = True
    compute: torch.dtype | None = None
    offload: bool = False

    @property
    def parts(self) -> int:
        """Over how many processes each weight is divided."""
        return self.mesh.size(self.mesh.ndim - 1)

    @property
    def note(self) -> str:
        """What is said of it in the log."""
        copies = self.mesh.size() // self.parts
        return f"sharded: each process holds 1/{self.parts} of it" + (f", {copies} copies" if copies > 1 else "")

    def divide(
        self, root: nn.Module, model: nn.Module, *methods: str, keep: bool = False, widen: torch.dtype | None = None
    ) -> None:
        """Shard `model` inside `root`, layer by layer, each moved to the device of the mesh first.

        Args:
            root: the module whose forward pass is called.
            methods: other methods of it that run a forward pass.
            keep: the root's own weights stay gathered after a pass until they are given up (`free`).
            widen: the type that this process's part gets, of weights that were loaded as they are stored.

        Raises:
            ConfigError: it has no list of layers.
        """
        policy = MixedPrecisionPolicy(param_dtype=self.compute, reduce_dtype=torch.float32 if self.compute else None)
        try:
            layers = layers_of(model)
        except ValueError as error:
            raise ConfigError(
                f"distributed.shard: {error}, so it cannot be divided; use distributed.shard=none, or a model of another family"
            ) from error
        kept = CPUOffloadPolicy(pin_memory=accelerator() is not None) if self.offload else OffloadPolicy()
        for layer in layers:
            fully_shard(
                layer, mesh=self.mesh, reshard_after_forward=self.reshard, mp_policy=policy, offload_policy=kept
            )
        reshard = self.reshard and not keep
        fully_shard(root, mesh=self.mesh, reshard_after_forward=reshard, mp_policy=policy, offload_policy=kept)
        for method in methods:
            register_fsdp_forward_method(root, method)
        if widen is not None:
            root._apply(lambda tensor: tensor.to(widen) if isinstance(tensor, DTensor) else tensor)


def layers_of(model: nn.Module) -> nn.ModuleList:
    """The list of a transformers model's layers: the outermost one, as long as its config says.

    Raises:
        ValueError: there is none.
    """
    inner = unwrap(model)
    count = getattr(inner.config.get_text_config(), "num_hidden_layers", None)
    lists = [(name.count("."), m) for name, m in inner.named_modules() if isinstance(m, nn.ModuleList)]
    found = [(depth, m) for depth, m in lists if len(m) == count]
    if not found:
        raise ValueError(f"{type(inner).__name__} has no list of {count} layers")
    return min(found, key=lambda one: one[0])[1]


def runs_on(module: nn.Module) -> torch.device:
    """Where a module computes, which is elsewhere than its weights where those are kept in main memory."""
    parameter = next(module.parameters())
    if not isinstance(parameter, DTensor) or parameter.device.type == parameter.device_mesh.device_type:
        return parameter.device
    return torch.device(parameter.device_mesh.device_type, torch.accelerator.current_device_index())


def free(module: nn.Module) -> None:
    """Give up every gathered weight; after a forward pass without a backward pass."""
    for part in _parts(module):
        part.reshard()


@contextmanager
def put_out(module: nn.Module, reshard: bool) -> Iterator[None]:
    """Inside, every process holds the whole module, as plain weights that anyone may read. All must come here.

    Passes inside are each process's own, as many as it wants: what FSDP noted of their order is forgotten at the end, or
    processes would gather ahead in different orders later.

    Args:
        reshard: what the module was divided with.
    """
    parts = list(_parts(module))
    try:
        for part in parts:
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()
        yield
    finally:
        for part in parts:
            part.set_reshard_after_forward(reshard, recurse=False)
            part.reshard()
        if parts:
            parts[0].reset_iter_state()


def has_room(module: nn.Module) -> bool:
    """Whether this process's device has room for all weights of a sharded module."""
    return sum(p.numel() * p.element_size() for p in module.parameters()) <= free_memory()


def add_up(module: nn.Module, within: bool = True, between: bool = True) -> None:
    """Whether the next backward pass adds gradients up over the processes, or leaves that to a later one.

    Args:
        within: those of a group, else whole gradients are kept.
        between: over groups, else each group keeps its own sum.
    """
    if isinstance(module, FSDPModule):
        module.set_requires_gradient_sync(within)
        module.set_requires_all_reduce(between)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor with the parts of all processes, detached, on the CPU where it was sharded; all processes must ask."""
    if not isinstance(tensor, DTensor):
        return tensor.detach()
    found: torch.Tensor = tensor.full_tensor()
    return found.detach().cpu()


def as_held(value: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """Of a whole tensor what this process holds of `parameter`; without communication."""
    if not isinstance(parameter, DTensor):
        return value
    here = value.to(parameter.device)
    return distribute_tensor(here, parameter.device_mesh, parameter.placements, src_data_rank=None)


def put_together(module: nn.Module, keep: bool, trained_only: bool, shelf: Path | None = None) -> None:
    """Make sharded parameters plain ones, on the CPU, in the process that keeps them; in the others they become empty.

    The end of a module's life: nothing runs on it any more.

    Args:
        trained_only: leave frozen ones alone, which are not saved.
        shelf: a folder on whose disk they lie, for what main memory does not hold.
    """
    done: dict[int, nn.Parameter] = {}
    for owner in module.modules():
        for name, parameter in list(owner.named_parameters(recurse=False)):
            if not isinstance(parameter.data, DTensor) or (trained_only and not parameter.requires_grad):
                continue
            if id(parameter) not in done:  # tied ones stay one
                value = whole(parameter)
                kept = (value if shelf is None else _mapped(value, shelf)) if keep else value.new_empty(0)
                done[id(parameter)] = nn.Parameter(kept, requires_grad=parameter.requires_grad)
            setattr(owner, name, done[id(parameter)])


def _mapped(value: torch.Tensor, shelf: Path) -> torch.Tensor:
    """The tensor in a file that is mapped, and vanishes with the last who looks at it."""
    with tempfile.NamedTemporaryFile(dir=shelf, prefix=".whole-") as file:
        file.truncate(max(1, value.numel()) * value.element_size())
        found = torch.from_file(file.name, shared=True, size=value.numel(), dtype=value.dtype).view(value.shape)
    return found.copy_(value)


def _parts(module: nn.Module) -> Iterator[FSDPModule]:
    return (part for part in module.modules() if isinstance(part, FSDPModule))
