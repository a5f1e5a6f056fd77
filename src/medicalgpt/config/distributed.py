"""The keys of a run in several processes."""

from typing import Literal, Self

from pydantic import Field, model_validator

from medicalgpt.config.sections import Section


class DistributedConfig(Section):
    """How the processes that torchrun starts share a model. None of it changes what a run trains, only where it lies."""

    shard: Literal["auto", "none", "full", "hybrid"] = Field(
        "auto",
        description="none: each process holds the whole model. full: each holds a part of weights, gradients and moments (FSDP2, ZeRO-3). hybrid: parts within a group of processes, copies between groups. auto: full where the estimate exceeds a process's memory, else none.",
    )
    replicate: int = Field(
        1,
        ge=1,
        description="With shard=hybrid: the number of groups, usually one a machine; each holds the model once.",
    )
    reshard: bool = Field(
        True,
        description="With shards: free a layer's gathered weights after its forward pass (ZeRO-3); false keeps them until its backward pass (ZeRO-2): less traffic, more memory.",
    )
    reduce: Literal["each", "step"] = Field(
        "each",
        description="With shards: add gradients up after each row, so that only parts of them stay; step: once a step, with whole gradients in between.",
    )
    sequence: int = Field(
        1,
        ge=1,
        description="Neighboring processes that work at each packed row together, for rows that are too long for one: each keeps the activations of 1/sequence of its tokens (Ulysses, arXiv 2309.14509). It must divide the model's attention heads.",
    )
    offload: Literal["none", "cpu"] = Field(
        "none",
        description="With shards: cpu keeps each process's part of weights, gradients and moments in main memory; a layer is on the device only while it runs.",
    )
    timeout: float = Field(
        1800.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds that a process may be behind the others in a step before the run ends; what one process alone does is not counted.",
    )

    async_save: bool = Field(
        True,
        description="With shards: write checkpoints while training goes on, from a copy of each process's part in main memory; false: training waits.",
    )

    @model_validator(mode="after")
    def _copies_of_shards(self) -> Self:
        if self.shard == "hybrid" and self.replicate == 1:
            raise ValueError("shard=hybrid needs replicate above 1: the number of groups; one group is shard=full")
        if self.shard != "hybrid" and self.replicate != 1:
            raise ValueError("replicate is used with shard=hybrid only")
        if self.shard == "none" and self.offload != "none":
            raise ValueError(
                "offload=cpu moves a process's part of the model, and shard=none divides none; use shard=full"
            )
        return self
