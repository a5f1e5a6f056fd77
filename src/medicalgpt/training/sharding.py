"""Whether a run shards its models, over which processes, what cannot be done then, and how they are loaded."""

from collections.abc import Callable
from typing import TypeVar

from torch.distributed.device_mesh import init_device_mesh

from medicalgpt.config.base import StageConfig
from medicalgpt.errors import ConfigError
from medicalgpt.memory.estimate import fits
from medicalgpt.models.shard import Sharding
from medicalgpt.training.placing import training_device
from medicalgpt.training.policy import AUTOCAST, mixed_precision
from medicalgpt.training.together import gathered, in_turn

T = TypeVar("T")


def sharding_of(config: StageConfig, world: int) -> Sharding | None:
    """The division that `distributed` asks for; None where every process holds the whole model. All processes ask.

    Raises:
        ConfigError: groups that do not divide the processes, float16, or another optimizer than AdamW.
    """
    asked = config.distributed
    if world == 1 or asked.shard == "none":
        return None
    if asked.shard == "auto" and all(gathered(fits(config))):
        return None
    precision = mixed_precision(config)
    if precision == "fp16":
        raise ConfigError(
            "model.dtype=float16 needs loss scaling, which does not see an overflow in another process's part; with "
            f"distributed.shard={asked.shard} use bfloat16 or float32"
        )
    if config.train.optimizer != "adamw":
        raise ConfigError(
            f"train.optimizer={config.train.optimizer} needs whole matrices, and distributed.shard={asked.shard} divides them: use "
            "train.optimizer=adamw, whose moments are divided with them, or distributed.shard=none"
        )
    if config.lora.modules_to_save:
        raise ConfigError(
            f"lora.modules_to_save keeps two copies of a module, which distributed.shard={asked.shard} does not divide; use "
            "distributed.shard=none, or all weights (lora.enabled=false)"
        )
    if world % asked.replicate:
        raise ConfigError(f"distributed.replicate={asked.replicate} does not divide {world} processes")
    groups, of_groups = ((asked.replicate,), ("replicate",)) if asked.replicate > 1 else ((), ())
    parts = (world // asked.replicate,)
    mesh = init_device_mesh(training_device().type, groups + parts, mesh_dim_names=(*of_groups, "shard"))
    # Only full training has fp32 weights under a shorter compute type; a frozen base lies in that type already.
    compute = AUTOCAST[precision] if not config.lora.enabled and config.model.dtype == "auto" else None
    return Sharding(mesh, asked.reshard, asked.reduce == "each", compute, asked.offload == "cpu")


def opened(sharding: Sharding | None, load: Callable[[], T]) -> T:
    """What `load` gives: this process's part of a model, or all of it. Before it is divided it is whole in main memory, so on each
    machine one process does it after another; where nothing is divided all do at once."""
    return load() if sharding is None else in_turn(load)
