"""How a model is trained, as far as its memory goes."""

from dataclasses import dataclass
from typing import Literal

from medicalgpt.config.optimizers import GALORE_RANK, Optimizer
from medicalgpt.errors import ModelError
from medicalgpt.memory.moments import OPTIMIZERS

Method = Literal["full", "lora", "qlora8", "qlora4"]

METHODS: tuple[Method, ...] = ("full", "lora", "qlora8", "qlora4")
Quantization = Literal["none", "int8", "nf4"]
FROZEN: dict[Quantization, Method] = {"none": "lora", "int8": "qlora8", "nf4": "qlora4"}
"""The method in which a frozen model is stored as these keys say."""
BYTES: dict[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Setup:
    """How the model is trained.

    `row_tokens` is the length of one packed row, the unit of a forward pass. `dtype` is the type in which the base's
    weights lie, `compute` the type that autocast multiplies in. `shards` is the number of processes that each weight is divided
    over (1: every process holds the whole model), of `processes`, and `sequence` of those that share a row. `heap_holes` adds what a
    fragmenting heap wastes. `new_tokens` is the number of embedding rows that an adapter trains. With `offload` a process's part of
    weights, gradients and moments lies in main memory.
    """

    method: Method = "lora"
    row_tokens: int = 1024
    dtype: str = "float32"
    compute: str = "float32"
    rank: int = 8
    target_modules: tuple[str, ...] | None = None
    checkpointing: bool = False
    processes: int = 1
    shards: int = 1
    sequence: int = 1
    heap_holes: bool = False
    new_tokens: int = 0
    offload: bool = False
    optimizer: Optimizer = "adamw"
    galore_rank: int = GALORE_RANK
    whole: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ModelError(f"method {self.method!r} is unknown; allowed: {', '.join(METHODS)}")
        if self.optimizer not in OPTIMIZERS:
            raise ModelError(f"optimizer {self.optimizer!r} is unknown; allowed: {', '.join(OPTIMIZERS)}")
        for name in ("dtype", "compute"):
            if getattr(self, name) not in BYTES:
                raise ModelError(f"{name} {getattr(self, name)!r} is unknown; allowed: {', '.join(BYTES)}")
        if self.optimizer != "adamw" and self.shards > 1:
            raise ModelError(f"optimizer {self.optimizer} needs whole matrices; with shards={self.shards} it is adamw")
        for name in ("row_tokens", "rank", "galore_rank", "processes", "shards", "sequence"):
            if getattr(self, name) < 1:
                raise ModelError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("shards", "sequence"):
            if self.processes % getattr(self, name):
                raise ModelError(f"{name}={getattr(self, name)} does not divide {self.processes} processes")
        if self.offload and self.shards == 1:
            raise ModelError(
                "offload moves a process's part of the model, and none is divided; give shards (--shard 8), too"
            )

    @property
    def own_tokens(self) -> int:
        """Tokens of a row that one process holds."""
        return -(-self.row_tokens // self.sequence)

    @property
    def quantized(self) -> bool:
        """Whether the base's linear layers are stored in 8 or 4 bits."""
        return self.method in ("qlora8", "qlora4")

    @property
    def fused_elementwise(self) -> bool:
        """Whether kernels/elementwise.py replaces blocks: weights in fp32."""
        return not self.quantized and self.dtype == "float32"

    @property
    def tuned(self) -> bool:
        """Whether its norms and kernels/lora.py are at work too: fp32 throughout."""
        return self.fused_elementwise and not self.autocast

    @property
    def autocast(self) -> bool:
        """Whether operations run in a shorter type than fp32."""
        return self.compute != "float32"
