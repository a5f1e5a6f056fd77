"""The memory estimate as users meet it: with a run's own choices, for a stage's config, as a check before loading."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from medicalgpt.config.base import StageConfig
from medicalgpt.config.optimizers import Optimizer
from medicalgpt.errors import ModelError
from medicalgpt.kernels.free_memory import free_memory
from medicalgpt.kernels.malloc import can_keep_memory
from medicalgpt.language import translated
from medicalgpt.memory.footprint import MemoryEstimate, estimate
from medicalgpt.memory.roles import roles_of, with_roles
from medicalgpt.memory.setup import FROZEN, METHODS, Method, Setup
from medicalgpt.memory.shape import LLAMA_SIZES, shape_of_model, shape_of_size
from medicalgpt.models.token_map import TokenMap

DType = Literal["auto", "mixed", "float32", "bfloat16", "float16"]
Device = Literal["cpu", "cuda"]

SKIP_ENV = "MEDICALGPT_SKIP_MEMORY_CHECK"


class SetupOptions(TypedDict, total=False):
    """The fields of `Setup` that `setup_for` leaves to its caller."""

    row_tokens: int
    rank: int
    target_modules: tuple[str, ...] | None
    checkpointing: bool
    processes: int
    shards: int
    sequence: int
    new_tokens: int
    offload: bool
    optimizer: Optimizer
    galore_rank: int
    whole: tuple[str, ...]


def setup_for(
    method: Method, dtype: DType = "auto", device: Device | None = None, **settings: Unpack[SetupOptions]
) -> Setup:
    """A Setup with types and heap as a training run would choose them.

    Args:
        dtype: as `model.dtype`; "mixed" is what "auto" means on a GPU that multiplies bfloat16.
        device: "cuda" stands for any accelerator; null for this machine's.
    """
    if device is None:
        device = _this_device()
    store, compute = _types(method, dtype)
    # Holes belong to the heap of main memory; a plan for a GPU has none whatever machine asks.
    holes = device == "cpu" and can_keep_memory()
    return Setup(method=method, dtype=store, compute=compute, heap_holes=holes, **settings)


def _types(method: Method, dtype: DType) -> tuple[str, str]:
    """Storage and compute type: without an explicit type full training keeps fp32 weights and computes shorter."""
    if dtype == "auto":
        from medicalgpt.models.load import pick_dtype  # lazy: heavy

        picked = str(pick_dtype("auto")).removeprefix("torch.")
    else:
        picked = "bfloat16" if dtype == "mixed" else dtype
    return ("float32" if method == "full" and dtype in ("auto", "mixed") else picked), picked


def _this_device() -> Device:
    from medicalgpt.kernels.device import accelerator  # lazy: heavy

    return "cuda" if accelerator() is not None else "cpu"


def setup_of(config: StageConfig, shards: int = 1) -> Setup:
    """The Setup of a stage: method, row length and types as the trainer will have them, each weight in so many parts."""
    targets, sequence = config.lora.target_modules, config.distributed.sequence
    return setup_for(
        FROZEN[config.quantization] if config.lora.enabled else "full",
        config.model.dtype,
        row_tokens=config.row_tokens,
        rank=config.lora.rank,
        target_modules=None if isinstance(targets, str) else tuple(targets),
        checkpointing=config.train.gradient_checkpointing,
        processes=max(
            int(os.environ.get("WORLD_SIZE", "1")), sequence
        ),  # an estimate may be asked for outside of the run
        shards=shards,
        sequence=sequence,
        offload=shards > 1 and config.distributed.offload == "cpu" and _this_device() == "cuda",
        optimizer=config.train.optimizer,
        galore_rank=config.train.galore_rank,
        whole=tuple(config.lora.modules_to_save),
    )


def estimate_stage(config: StageConfig, shards: int = 1) -> MemoryEstimate:
    """What training this stage takes. Reads the model's config.json only; raises ModelError when there is none."""
    setup = setup_of(config, shards)
    model = config.model
    trained = shape_of_model(model.base, model.at, model.trust_remote_code, model.below.get)
    if token_map := TokenMap.read(Path(model.tokenizer)) if model.tokenizer else None:
        trained = trained.grown(token_map.rows(trained.vocab))
        setup = replace(setup, new_tokens=len(token_map.new_ids))
    return with_roles(estimate(trained, setup), trained, roles_of(config, trained))


def fits(config: StageConfig) -> bool:
    """Whether this process's device has room for the whole stage; so does whoever is not to be asked (SKIP_ENV)."""
    return os.environ.get(SKIP_ENV) == "1" or _need(estimate_stage(config)) <= free_memory()


def _need(estimated: MemoryEstimate) -> int:
    """Bytes of all processes that share this one's device: main memory is one, and each has a GPU of its own."""
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if _this_device() == "cpu" else 1
    return estimated.total * local


def require_memory(config: StageConfig, shards: int = 1) -> MemoryEstimate:
    """Estimate a stage and refuse it before anything is loaded if this machine cannot hold it; raises ModelError.

    In a distributed run the first process of a machine checks for all of them: later ones would see memory that the
    first has taken already. MEDICALGPT_SKIP_MEMORY_CHECK=1 turns the refusal off.
    """
    estimated = estimate_stage(config, shards)
    if os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get(SKIP_ENV) != "1":
        check_fits(estimated)
    return estimated


def check_fits(estimated: MemoryEstimate, free: int | None = None) -> None:
    """Compare with the free memory of the GPU or machine.

    Args:
        free: bytes; null measures it.

    Raises:
        ModelError: with the parts and what to change.
    """
    free = free_memory() if free is None else free
    need = _need(estimated)
    local = need // estimated.total
    if need <= free:
        return
    times = f" ({local} processes of {gigabytes(estimated.total)})" if local > 1 else ""
    raise ModelError(
        f"training needs about {gigabytes(need)}{times}, {gigabytes(free)} are free.\n"
        f"Per process: {', '.join(f'{name} {gigabytes(size)}' for name, size in estimated.parts.items())}.\n"
        f"What helps: {'; '.join(_advice(estimated.setup))}.\n"
        f"If you know better: {SKIP_ENV}=1 skips this check."
    )


def _advice(setup: Setup) -> list[str]:
    advice = []
    if setup.shards < setup.processes:
        advice.append(f"distributed.shard=full divides the model among the {setup.processes} processes")
    elif setup.processes == 1 and _this_device() == "cuda":
        advice.append("more GPUs (torchrun --nproc_per_node N), among which distributed.shard=auto divides the model")
    if setup.method == "full":
        advice.append("lora.enabled=true trains adapters only")
    if setup.method == "full" and setup.optimizer == "adamw" and setup.shards == 1:
        advice.append("train.optimizer=adamw_8bit, galore or adafactor keeps less of past gradients")
    if setup.method in ("full", "lora"):
        advice.append("quantization=nf4 with LoRA stores the base in 4 bits")
    if not setup.checkpointing:
        advice.append("train.gradient_checkpointing=true keeps fewer activations")
    if setup.sequence < setup.processes:
        advice.append(f"distributed.sequence=N shares each row among N of the {setup.processes} processes")
    advice.append(f"a smaller data.max_tokens or train.row_tokens (now {setup.row_tokens} tokens a row)")
    advice.append("a smaller model.base")
    return advice


def gigabytes(size: int) -> str:
    """Bytes as "12.3 GB" (10⁹ bytes)."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e9:.2f} GB"


LARGEST_GPU = 80  # GB: of the GPUs that are rented by the hour most; what takes more is marked in the table


def hardware_table(row_tokens: int = 1024, checkpointing: bool = False) -> str:
    """Markdown table for the README: GPU memory by LLaMA size and method, types as `dtype: auto` picks them there.

    The rows of several GPUs are of one of them, where the model is divided among all. The last row says what the mark means.
    Methods and keys are called as they are given, the other words are of the chosen language.
    """
    lines = [f"| {translated('Method')} | " + " | ".join(LLAMA_SIZES) + " |", "|---|" + "---:|" * len(LLAMA_SIZES)]
    rows: list[tuple[str, Method, DType, int]] = [(m, m, "mixed", 1) for m in METHODS]
    rows += [("full, dtype=bfloat16", "full", "bfloat16", 1)]
    divided: tuple[Method, ...] = ("full", "lora", "qlora4")
    rows += [(translated(f"{m}, each of {n} GPUs"), m, "mixed", n) for m in divided for n in (8, 64)]
    for name, method, dtype, gpus in rows:
        setup = setup_for(
            method, dtype, "cuda", row_tokens=row_tokens, checkpointing=checkpointing, processes=gpus, shards=gpus
        )
        sizes = [estimate(shape_of_size(size), setup).total / 1e9 for size in LLAMA_SIZES]
        cells = [f"{size:.0f} GB{' †' if size > LARGEST_GPU else ''}" for size in sizes]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    mark = translated(f"† more than a GPU of {LARGEST_GPU} GB holds: needs a larger one, or more that divide the model")
    lines.append(f"| {mark} |" + " |" * len(LLAMA_SIZES))
    return "\n".join(lines)
