"""How much memory training will take, by part, from a model's shape alone: no weight is ever read.

What the autograd graph keeps per token and layer of a LLaMA block (D hidden, Q query, K key or value, F feed-forward
width; tests compare this list with what torch really saves):

    attention norm   its input D, its normalised input D (only if the norm itself is trained), the statistic 1
    q, k, v          their shared input D
    attention        q Q, k K, v K, output Q, logsumexp (one per head)
    o                its input Q
    MLP norm         as above
    gate, up         their shared input D
    activation       gate F, activated gate F, up F
    down             its input F
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from medicalgpt.errors import ModelError
from medicalgpt.models.shape import Shape

Method = Literal["full", "lora", "qlora8", "qlora4"]
DType = Literal["float32", "bfloat16", "float16"]

METHODS: tuple[Method, ...] = ("full", "lora", "qlora8", "qlora4")
DTYPE_BYTES: dict[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2}

HEAD_CHUNK = 512
"""Rows of logits that exist at a time (models/head.py)."""

NF4_BLOCK = 64
"""Weights that share one fp32 scale in bitsandbytes' 4-bit format."""


@dataclass(frozen=True)
class Setup:
    """How the model is trained. `row_tokens` is the length of one packed row, the unit of a forward pass."""

    method: Method = "lora"
    row_tokens: int = 1024
    dtype: DType = "float32"
    rank: int = 8
    target_modules: tuple[str, ...] | None = None
    checkpointing: bool = False
    processes: int = 1

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ModelError(f"method {self.method!r} is unknown; allowed: {', '.join(METHODS)}")
        if self.dtype not in DTYPE_BYTES:
            raise ModelError(f"dtype {self.dtype!r} is unknown; allowed: {', '.join(DTYPE_BYTES)}")
        for name in ("row_tokens", "rank", "processes"):
            if getattr(self, name) < 1:
                raise ModelError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Estimate:
    """Bytes by part for one process.

    `communication` are the gradient buckets of distributed data parallel (0 with one process), `reference` the weights
    of a separate reference model.
    """

    setup: Setup = field(repr=False)
    trained_parameters: int
    weights: int
    gradients: int
    optimizer: int
    activations: int
    head: int
    communication: int = 0
    reference: int = 0

    @property
    def parts(self) -> dict[str, int]:
        """Name → bytes, parts of size 0 left out."""
        names = ("weights", "reference", "gradients", "optimizer", "activations", "head", "communication")
        return {name: getattr(self, name) for name in names if getattr(self, name)}

    @property
    def total(self) -> int:
        """Bytes of one process at its peak."""
        return sum(self.parts.values())

    @property
    def all_processes(self) -> int:
        """Bytes of all processes: data parallel training holds everything once per process."""
        return self.total * self.setup.processes


def estimate(shape: Shape, setup: Setup) -> Estimate:
    """Peak memory of one training process, in bytes by part.

    Counts what is alive at the end of a forward pass of the second accumulation step or later: everything at once.
    """
    trained = shape.parameters if setup.method == "full" else adapter_parameters(shape, setup)
    # peft keeps adapters, and with them their gradients, in fp32 whatever the base's type.
    trained_bytes = DTYPE_BYTES[setup.dtype] if setup.method == "full" else 4
    gradients = trained * trained_bytes
    return Estimate(
        setup=setup,
        trained_parameters=trained,
        weights=weight_bytes(shape, setup) + (0 if setup.method == "full" else gradients),
        gradients=gradients,
        # AdamW's two moments in fp32.
        optimizer=trained * 8,
        activations=activation_bytes(shape, setup),
        head=head_bytes(shape, setup),
        communication=gradients if setup.processes > 1 else 0,
    )


def with_reference(estimated: Estimate, shape: Shape) -> Estimate:
    """The estimate plus a second, frozen model of `shape` that is never quantised (DPO's `reference: model`)."""
    return replace(estimated, reference=shape.parameters * DTYPE_BYTES[estimated.setup.dtype])


def adapter_parameters(shape: Shape, setup: Setup) -> int:
    """Parameters of LoRA's A [rank, in] and B [out, rank] on every target; raises ModelError when no layer matches."""
    targets = shape.linears
    if setup.target_modules is not None:
        targets = tuple(x for x in targets if x.name.rsplit(".", 1)[-1] in setup.target_modules)
    if not targets:
        names = sorted({x.name.rsplit(".", 1)[-1] for x in shape.linears})
        wanted = ", ".join(setup.target_modules or ())
        raise ModelError(f"lora.target_modules [{wanted}] match no linear layer; this model has: {', '.join(names)}")
    return sum(setup.rank * (x.inputs + x.outputs) for x in targets)


def weight_bytes(shape: Shape, setup: Setup) -> int:
    """The base model's weights. Quantisation touches linear layers only; embeddings, norms and head keep their type."""
    size = DTYPE_BYTES[setup.dtype]
    linear = sum(x.inputs * x.outputs for x in shape.linears)
    rest = (shape.parameters - linear) * size
    if setup.method == "qlora8":
        return rest + linear + sum(4 * x.outputs for x in shape.linears)
    if setup.method == "qlora4":
        # Beside the packed weights, one matrix at a time is unpacked for its product.
        largest = max(x.inputs * x.outputs for x in shape.linears)
        return rest + linear // 2 + linear // NF4_BLOCK * 4 + largest * size
    return rest + linear * size


def activation_bytes(shape: Shape, setup: Setup) -> int:
    """What the graph holds at the end of the forward pass, plus the working set of one layer's backward pass."""
    size, tokens, full = DTYPE_BYTES[setup.dtype], setup.row_tokens, setup.method == "full"
    layer = layer_token_bytes(shape, setup)
    if setup.checkpointing:
        # The graph keeps each layer's input; the backward pass rebuilds one layer at a time.
        kept = shape.layers * shape.hidden * size + layer
    else:
        kept = shape.layers * layer
    tail = shape.hidden * (4 + (size if full else 0))
    backward = (2 * shape.feed_forward + 2 * shape.hidden) * size
    return tokens * (kept + tail + backward)


def layer_token_bytes(shape: Shape, setup: Setup) -> int:
    """Bytes kept per token of one layer (the list at the top of this file)."""
    size, full = DTYPE_BYTES[setup.dtype], setup.method == "full"
    hidden, query, key, wide = shape.hidden, shape.query, shape.key, shape.feed_forward
    # Norms compute in fp32 and keep that copy of their input, and the statistic.
    norms = shape.norm_width * (4 + (size if full else 0)) + 4 * shape.norms
    attention = (2 * query + 2 * key) * size + 4 * shape.heads
    mlp = (3 if shape.gated else 1) * wide * size
    return norms + attention + mlp + _linear_inputs(shape, setup, hidden + query + hidden + wide)


def _linear_inputs(shape: Shape, setup: Setup, shared: int) -> int:
    """Inputs kept for weight gradients: shared by sibling layers, unless peft casts each of them to fp32 of its own."""
    size = DTYPE_BYTES[setup.dtype]
    if setup.method == "full":
        return shared * size
    targets = [
        x for x in shape.linears if setup.target_modules is None or x.name.rsplit(".", 1)[-1] in setup.target_modules
    ]
    inner = 4 * setup.rank * len(targets) // shape.layers
    kept = shared * 4 if size == 4 else 4 * sum(x.inputs for x in targets) // shape.layers
    # int8 layers keep their own input as well.
    return inner + kept + (shared * size if setup.method == "qlora8" and size != 4 else 0)


def head_bytes(shape: Shape, setup: Setup) -> int:
    """Logits and their gradient for one chunk, a gradient row per position and, in full training, the head's gradient."""
    chunk = 2 * min(HEAD_CHUNK, setup.row_tokens) * shape.vocab * 4
    size = DTYPE_BYTES[setup.dtype]
    rows = 2 * setup.row_tokens * shape.hidden * size
    return chunk + rows + (shape.vocab * shape.hidden * size if setup.method == "full" else 0)
