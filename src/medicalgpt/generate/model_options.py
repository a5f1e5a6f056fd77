"""Which model is opened and how, as chat, demo, serve, generate and `Engine.open` say it. Nothing heavy is imported here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
QuantizationName = Literal["none", "int8", "nf4"]
RopeScalingName = Literal["linear", "yarn"]
BackendName = Literal["auto", "vllm", "llamacpp"]


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """How a model is loaded.

    Attributes:
        adapter: a LoRA adapter or run folder for the model; None: the one it names itself, if any.
        template: a named chat template or a .jinja file; None: see `choose_template`.
        tool_format: how tool calls are written; None: as the template says.
        dtype: number type of the weights; auto takes bfloat16 on hardware that multiplies it fast.
        trust_remote_code: run Python code that comes with the model.
        quantization: weights in 8 or 4 bits (bitsandbytes).
        revision: branch, tag or commit of a Hub model.
        backend: vllm or llamacpp; auto: this process, or llama.cpp for a .gguf file.
        family: the model family that it must be of (models/families.py); auto finds it.
        tokenizer: folder or Hub id of another tokenizer than the adapter's or base's own.
        resize_embeddings: give the base one embedding a token of the tokenizer before the adapter is put on it.
        rope_scaling: positions for a context `rope_factor` times longer than the base's; None: its own, or those of the adapter.
        device_map: "auto" lays the layers over all GPUs that are there, instead of the whole model on one.
        tensor_parallel: with vllm, GPUs that share every weight.
        memory_share: with vllm, the share of a GPU's memory that it takes; None: vLLM's own.
        adapters: with vllm or on the web page, further adapters by name (folder or run), of which each answer may have another.
        inference_only: the model will answer and nothing else. On a CPU its float32 weights are then laid out for that once, in place,
            where they would be copied for every call; `Engine.model` cannot be trained or saved any more.
    """

    adapter: str | None = None
    template: str | None = None
    tool_format: str | None = None
    dtype: Dtype = "auto"
    trust_remote_code: bool = False
    quantization: QuantizationName = "none"
    revision: str | None = None
    backend: BackendName = "auto"
    family: str = "auto"
    tokenizer: str | None = None
    resize_embeddings: bool = False
    rope_scaling: RopeScalingName | None = None
    rope_factor: float | None = None
    device_map: Literal["auto"] | None = None
    tensor_parallel: int = 1
    memory_share: float | None = None
    adapters: Mapping[str, str] = field(default_factory=dict)
    inference_only: bool = False

    @property
    def for_vllm(self) -> list[str]:
        """Names of what is given that only vLLM does."""
        given = {
            "tensor_parallel": self.tensor_parallel > 1,
            "memory_share": self.memory_share is not None,
            "adapters": bool(self.adapters),
        }
        return [name for name, is_given in given.items() if is_given]
