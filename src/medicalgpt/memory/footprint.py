"""How much memory one training process takes, by part, from a model's shape alone.

What the autograd graph keeps per token and layer of a LLaMA block (D hidden, Q query, K key or value, F feed-forward
width; tests compare this list with what torch really saves):

    attention norm   its input D, its normalized input D (only if the norm itself is trained, never in fused fp32), the statistic 1
    q, k, v          their shared input D
    attention        q Q, k K, v K, output Q, logsumexp (one per head)
    o                its input Q
    MLP norm         as above
    gate, up         their shared input D
    activation       gate F, activated gate F (not in fused fp32), up F
    down             its input F

Attention is fused (no score matrix), and the head's logits exist one chunk at a time.
"""

from dataclasses import dataclass, field, replace

from medicalgpt.errors import ModelError
from medicalgpt.memory.moments import Weight, state_bytes, step_bytes
from medicalgpt.memory.setup import BYTES, Setup
from medicalgpt.memory.shape import Linear, ModelShape

HEAD_CHUNK = 512
"""Rows of logits that exist at a time (kernels/head.py)."""

# bitsandbytes' nf4 with double quantization: a 1-byte scale per 64 weights, an fp32 scale per 256 of those.
_NF4_BLOCK, _NF4_SCALES = 64, 256
# Heap that lies free between living tensors and fits none of the next ones, as a share of the activations of a step
# without checkpointing. Measured by benchmarks/estimate_vs_peak.py with glibc 2.36 and kernels/malloc.py.
# bitsandbytes' CPU build also unpacks weights and keeps copies that this share stands for.
_HEAP_HOLES = {"full": 0.25, "lora": 0.25, "qlora8": 1.2, "qlora4": 1.2}


@dataclass(frozen=True)
class Traffic:
    """Bytes that one process takes in: for each row, and (`copies`) for each step between groups of shards.

    A row gathers sharded weights twice, for the forward and the backward pass, and adds up its gradients in fp32. A row that is
    shared swaps tokens for heads (`swaps`) before and after the attention of each layer, in each pass over it.
    """

    row: int = 0
    copies: int = 0
    swaps: int = 0


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes by part for one process.

    `head` is the chunked output layer's working memory, `communication` the gradient buckets of distributed data
    parallel, `gathered` what a sharded model puts together for a while, `reference` a separate frozen model, `heap` what the C
    library holds without being able to use it. `critic`, `scorer` and `teacher` are those of a stage with rollouts, `answers` keys
    and values that learning leaves no room for. `host` lies in main memory and is no part of the device's.
    """

    setup: Setup = field(repr=False)
    trained_parameters: int
    weights: int
    gradients: int
    optimizer: int
    activations: int
    head: int
    communication: int = 0
    gathered: int = 0
    reference: int = 0
    critic: int = 0
    scorer: int = 0
    teacher: int = 0
    answers: int = 0
    heap: int = 0
    host: int = 0
    traffic: Traffic = Traffic()

    @property
    def parts(self) -> dict[str, int]:
        """Name → bytes, parts of size 0 left out."""
        models = ("weights", "gathered", "critic", "scorer", "reference", "teacher")
        work = ("gradients", "optimizer", "activations", "head", "answers", "communication", "heap")
        return {name: getattr(self, name) for name in (*models, *work) if getattr(self, name)}

    @property
    def total(self) -> int:
        """Bytes of one process at its peak."""
        return sum(self.parts.values())

    @property
    def moments(self) -> float:
        """Bytes of the optimizer's state for each byte that is trained; two where they are not on the device (AdamW)."""
        return self.optimizer / self.gradients if self.gradients else 2.0

    @property
    def checkpoint(self) -> int:
        """Bytes on disk of one checkpoint: trained weights and the optimizer's state, of a critic as well."""
        size = BYTES[self.setup.dtype] if self.setup.method == "full" else 4
        return int((1 + self.moments) * self.trained_parameters * size) + self.critic * self.setup.shards

    @property
    def all_processes(self) -> int:
        """Bytes of all processes."""
        return self.total * self.setup.processes


def estimate(shape: ModelShape, setup: Setup) -> MemoryEstimate:
    """Peak memory of one training process, in bytes by part.

    Counts what is alive when the second or a later accumulated row reaches the head: everything at once.

    Raises:
        ModelError: no linear layer bears a name of `setup.target_modules`.
    """
    full = setup.method == "full"
    targets = lora_targets(shape, setup)
    rows = setup.new_tokens * shape.hidden * shape.token_matrices
    trained = shape.parameters if full else rows + sum(setup.rank * (x.inputs + x.outputs) for x in targets)
    copies = 0 if full else sum(weight.size for weight in whole_modules(shape, setup))
    holes = _HEAP_HOLES[setup.method] if setup.heap_holes else 0.0
    # peft keeps adapters, and with them their gradients and moments, in fp32 whatever the base's type.
    trained_bytes = trained * (BYTES[setup.dtype] if full else 4)
    # Copies of whole modules lie in the base's type; counted as adapters they are never too small.
    trained, trained_bytes = trained + copies, trained_bytes + 4 * copies
    if setup.shards > 1:
        return _sharded(shape, setup, trained, trained_bytes, holes)
    activations, head = _activations(shape, setup), _head(shape, setup)
    weights = trained_weights(shape, setup, targets)
    return MemoryEstimate(
        setup=setup,
        trained_parameters=trained,
        weights=base_bytes(shape, setup) + _casts(shape, setup) + (0 if full else trained_bytes),
        gradients=trained_bytes,
        # A step comes when activations are gone; what it makes beyond their room is its own.
        optimizer=state_bytes(setup.optimizer, weights, BYTES[setup.dtype] if full else 4, setup.galore_rank)
        + max(0, step_bytes(setup.optimizer, weights, setup.galore_rank) - activations - head),
        activations=activations,
        head=head,
        communication=trained_bytes if setup.processes > 1 else 0,
        traffic=Traffic(swaps=_swaps(shape, setup)),
        heap=int(holes * setup.own_tokens * shape.layers * layer_token_bytes(shape, setup)),
    )


def trained_weights(shape: ModelShape, setup: Setup, targets: tuple[Linear, ...]) -> tuple[Weight, ...]:
    """Shapes of all that is trained: every weight, or adapters on `targets`, rows of new tokens and modules that are trained whole."""
    if setup.method == "full":
        return shape.weights
    rows = [Weight((setup.new_tokens, shape.hidden), tokens=True)] * (shape.token_matrices if setup.new_tokens else 0)
    pairs = [((setup.rank, x.inputs), (x.outputs, setup.rank), x == shape.head) for x in targets]
    adapters = [Weight(dims, tokens=head) for *both, head in pairs for dims in both]
    return (*rows, *adapters, *whole_modules(shape, setup))


def whole_modules(shape: ModelShape, setup: Setup) -> tuple[Weight, ...]:
    """Weights of `setup.whole`. A tied head is found under the embedding's name, so either name means both."""
    ends = {"embed_tokens", "lm_head"} if shape.tied else set()
    return tuple(
        weight
        for weight in shape.weights
        if any(f".{name}." in f".{weight.name}" or (weight.tokens and name in ends) for name in setup.whole)
    )


def _sharded(shape: ModelShape, setup: Setup, trained: int, trained_bytes: int, holes: float) -> MemoryEstimate:
    """The same where each of `setup.shards` processes holds a part of weights, gradients and moments.

    Whole are, for a while, what is above and below the layers, the layer that runs and the next one, gathered ahead; in full
    training their gradients as well, until they are added up over the processes. An fp32 layer is gathered in the compute
    type, so the graph keeps no copies in that type.
    """
    full = setup.method == "full"
    held = base_bytes(shape, setup) + (0 if full else trained_bytes)
    layer = sum(x.inputs * x.outputs for x in shape.linears) // shape.layers
    root = shape.parameters - layer * shape.layers
    size = BYTES[setup.compute if full and setup.dtype == "float32" else setup.dtype]
    if setup.quantized:  # 8 bits, or 4 and their scales; what is not linear lies in fp32
        gathered = 2 * (layer if setup.method == "qlora8" else int(0.52 * layer)) + 4 * root
    else:
        gathered = (2 * layer + root) * size
    sums = (2 * layer + root) * 4 if full else 0
    own = {"weights": held, "gradients": trained_bytes, "optimizer": 2 * trained_bytes}
    part = {name: size // setup.shards for name, size in own.items()}
    return MemoryEstimate(
        setup=setup,
        trained_parameters=trained,
        **(dict.fromkeys(part, 0) | {"host": sum(part.values())} if setup.offload else part),
        activations=_activations(shape, setup),
        head=_head(shape, setup),
        communication=sums,
        gathered=gathered,
        traffic=replace(_traffic(setup, (layer * shape.layers + root, size), trained), swaps=_swaps(shape, setup)),
        heap=int(holes * setup.own_tokens * shape.layers * layer_token_bytes(shape, setup)),
    )


def _traffic(setup: Setup, weights: tuple[int, int], trained: int) -> Traffic:
    """`weights` is their number, and the bytes in which each is gathered."""
    count, size = weights
    each = 0.52 if setup.method == "qlora4" else 1 if setup.method == "qlora8" else size
    others = (setup.shards - 1) / setup.shards
    copies = setup.processes // setup.shards
    return Traffic(
        row=int(others * (2 * count * each + 4 * trained)),
        copies=int(2 * (copies - 1) / copies * 4 * trained / setup.shards) if copies > 1 else 0,
    )


def _swaps(shape: ModelShape, setup: Setup) -> int:
    """Bytes a row: queries, keys and values to their heads and answers back, forward and backward, again where recomputed."""
    n, passes = setup.sequence, 3 if setup.checkpointing else 2
    width = 2 * shape.query + 2 * _held_keys(shape, setup)
    return int((n - 1) / n * setup.own_tokens * shape.layers * width * BYTES[setup.compute] * passes)


def _held_keys(shape: ModelShape, setup: Setup) -> int:
    """Width of a token's keys: processes that share a row repeat them where there are fewer heads than processes.

    Raises:
        ModelError: so many processes cannot share the heads.
    """
    if setup.sequence == 1:
        return shape.key
    from medicalgpt.kernels.ulysses import repeats  # lazy: heavy

    if not shape.heads or shape.heads % setup.sequence:
        raise ModelError(f"sequence={setup.sequence} does not divide the model's {shape.heads} attention heads")
    key_heads = shape.key * shape.heads // shape.query
    return shape.key * repeats(shape.heads, key_heads, setup.sequence)


def lora_targets(shape: ModelShape, setup: Setup) -> tuple[Linear, ...]:
    """The linear layers that get an adapter, the head where it is named.

    Raises:
        ModelError: none is named in `setup.target_modules`.
    """
    wanted = setup.target_modules
    there = (*shape.linears, *([shape.head] if shape.head and wanted is not None else []))
    there = tuple(
        x for x in there if not any(f".{name}." in f".{x.name}." for name in setup.whole)
    )  # those get no adapter
    if wanted is None:
        return there
    found = tuple(x for x in there if any(x.is_called(target) for target in wanted))
    if not found:
        names = ", ".join(sorted({x.kind for x in there}))
        raise ModelError(f"lora.target_modules [{', '.join(wanted)}] match no linear layer; this model has: {names}")
    return found


def base_bytes(shape: ModelShape, setup: Setup, trained: bool = True) -> int:
    """Weights of the base. Quantization stores linear layers in 8 or 4 bits; training turns the rest to fp32."""
    size = BYTES[setup.dtype]
    linear = sum(x.inputs * x.outputs for x in shape.linears)
    if not setup.quantized:
        return shape.parameters * size
    rest = (shape.parameters - linear) * (4 if trained else size)
    if setup.method == "qlora8":
        return rest + linear + 4 * sum(x.outputs for x in shape.linears)
    scales = linear // _NF4_BLOCK
    # Beside the packed weights, one matrix at a time is unpacked for its product.
    unpacked = max(x.inputs * x.outputs for x in shape.linears) * size
    return rest + linear // 2 + scales + 4 * scales // _NF4_SCALES + unpacked


def _casts(shape: ModelShape, setup: Setup) -> int:
    """Copies in the compute type that autocast makes of fp32 weights and the graph keeps until the backward pass."""
    if setup.method == "full" and setup.autocast and setup.dtype == "float32":
        linear = sum(x.inputs * x.outputs for x in shape.linears)
        return (linear + shape.vocab * shape.hidden) * BYTES[setup.compute]
    return 0


def layer_token_bytes(shape: ModelShape, setup: Setup) -> int:
    """Bytes kept per token of one layer (the list at the top of this file)."""
    full, size = setup.method == "full", BYTES[setup.compute]
    # Norms compute in fp32 and keep that copy of their input and the statistic; a trained norm also keeps its output.
    output = BYTES[setup.dtype] if full and not (setup.tuned and shape.plain_norms) else 0
    norms = shape.norm_width * (4 + output) + 4 * shape.norms
    attention = (2 * shape.query + 2 * _held_keys(shape, setup)) * size + 4 * shape.heads
    if setup.tuned and not full:
        # Query, key and value are slices of one product (kernels/lora.py). The value, or the norms of the other two, keep all of it
        # alive; where a row is shared, the value that is kept is a copy.
        if setup.sequence == 1 and not shape.head_norms:
            attention += (shape.query + shape.key) * size
        elif setup.sequence > 1 and shape.head_norms:
            attention += shape.key * size
    # nf4 layers are not autocast: they answer in the type of their fp32 input.
    wide = 4 if setup.method == "qlora4" else size
    kept = (2 if setup.fused_elementwise and shape.swiglu else 3) if shape.gated else 1
    mlp = kept * shape.feed_forward * wide
    return norms + attention + mlp + _linear_inputs(shape, setup)


def _linear_inputs(shape: ModelShape, setup: Setup) -> int:
    """Inputs kept for weight gradients: one shared by sibling layers, unless autocast casts it for each of them."""
    full, size = setup.method == "full", BYTES[setup.compute]
    targets = shape.linears if full else tuple(x for x in lora_targets(shape, setup) if x != shape.head)
    inner = 0 if full or setup.tuned else setup.rank * len(targets) * size // shape.layers
    own_copies = setup.autocast and (setup.dtype == "float32" or not full)
    if own_copies:
        return inner + sum(x.inputs for x in targets) * size // shape.layers
    return inner + (shape.hidden + shape.query + shape.hidden + shape.feed_forward) * size


def _activations(shape: ModelShape, setup: Setup) -> int:
    """What the graph holds at the end of the forward pass, plus the working set of one layer's backward pass."""
    layer, size = layer_token_bytes(shape, setup), BYTES[setup.compute]
    stream = 4 if setup.quantized else BYTES[setup.dtype]
    # With checkpointing the graph keeps each layer's input, and the backward pass rebuilds one layer at a time.
    kept = shape.layers * shape.hidden * stream + layer if setup.checkpointing else shape.layers * layer
    last_norm = shape.hidden * (4 + (stream if setup.method == "full" else 0))
    backward = (2 * shape.feed_forward + 2 * shape.hidden) * size
    return setup.own_tokens * (kept + last_norm + backward)


def _head(shape: ModelShape, setup: Setup) -> int:
    """One chunk's logits and their gradient, two rows per position and, in full training, the head's own gradient.

    A head with an adapter is run by the model itself: logits of a whole row, their logarithms and one gradient.
    """
    if setup.method != "full" and shape.head in lora_targets(shape, setup):
        return setup.own_tokens * (3 * shape.vocab * 4 + 2 * shape.hidden * BYTES[setup.compute])
    chunk = 2 * min(HEAD_CHUNK, setup.own_tokens) * shape.vocab * 4
    size, matrix = BYTES[setup.dtype], shape.vocab * shape.hidden
    rows = 2 * setup.own_tokens * shape.hidden * size
    cast = matrix * BYTES[setup.compute] if setup.quantized and setup.autocast else 0
    if setup.new_tokens and setup.method != "full":
        # peft writes the new rows into a copy of each matrix, whose gradient is as large as the matrix.
        rows += 2 * 2 * matrix * size
    return chunk + rows + cast + (matrix * size if setup.method == "full" else 0)
