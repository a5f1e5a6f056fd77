"""`medicalgpt estimate`: what training will take, before a weight is loaded."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from medicalgpt.cli.say import padded
from medicalgpt.config.optimizers import Optimizer
from medicalgpt.language import translated

if TYPE_CHECKING:
    from medicalgpt.memory.footprint import MemoryEstimate


def estimate(
    model: Annotated[str | None, typer.Option(help="Embedded model, folder, run folder or Hub id.")] = None,
    params: Annotated[str | None, typer.Option(help="Instead of a model: a LLaMA of 7B, 13B, 30B or 70B.")] = None,
    method: Annotated[Literal["full", "lora", "qlora8", "qlora4"], typer.Option(help="How it is trained.")] = "lora",
    stage: Annotated[
        str | None, typer.Option(help="Training stage: with its critic, reward model, reference and teacher.")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="With --stage distill: the teacher; default: one of the model's size.")
    ] = None,
    teacher_quantization: Annotated[
        Literal["none", "int8", "nf4"], typer.Option(help="With --stage distill: as objective.teacher_quantization.")
    ] = "none",
    max_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens of a packed row; with --stage as data.max_tokens.")
    ] = 1024,
    processes: Annotated[int, typer.Option(min=1, help="Data-parallel processes, each with the whole model.")] = 1,
    shard: Annotated[int, typer.Option(min=1, help="Processes that divide the model among them.")] = 1,
    replicate: Annotated[int, typer.Option(min=1, help="With --shard: groups of that many, usually machines.")] = 1,
    sequence: Annotated[int, typer.Option(min=1, help="Of all processes, those that share each row.")] = 1,
    offload: Annotated[bool, typer.Option("--offload", help="With --shard: each part lies in main memory.")] = False,
    rank: Annotated[int, typer.Option(min=1, help="LoRA rank.")] = 8,
    optimizer: Annotated[Optimizer, typer.Option(help="As train.optimizer.")] = "adamw",
    checkpointing: Annotated[bool, typer.Option("--checkpointing", help="With gradient checkpointing.")] = False,
    dtype: Annotated[
        Literal["auto", "mixed", "float32", "bfloat16", "float16"],
        typer.Option(help="As model.dtype; mixed: what auto means on a GPU with bfloat16."),
    ] = "auto",
    device: Annotated[Literal["cpu", "cuda"] | None, typer.Option(help="Where; default: this machine's.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hub model.")] = None,
    trust_remote_code: Annotated[bool, typer.Option("--trust-remote-code", help="Run the model's own code.")] = False,
    table: Annotated[bool, typer.Option("--table", help="Print the hardware table of all sizes and methods.")] = False,
) -> None:
    """Estimate the memory of training by part, from the model's config alone."""
    from medicalgpt.config.lookup import stage_schema
    from medicalgpt.errors import ModelError
    from medicalgpt.memory import footprint, roles, shape
    from medicalgpt.memory.estimate import hardware_table, setup_for

    if table:
        typer.echo(hardware_table(max_tokens, checkpointing))
        return
    if (model is None) == (params is None):
        raise ModelError("give either --model NAME or --params SIZE (7B, 13B, 30B, 70B), or --table for all sizes")
    found = shape.shape_of_size(params) if params else shape.shape_of_model(str(model), revision, trust_remote_code)
    if processes > 1 and shard * replicate > 1:
        raise ModelError(
            f"--processes {processes} are whole models, --shard {shard} --replicate {replicate} are {shard * replicate} processes "
            "already; give one of both"
        )
    schema = stage_schema(stage) if stage else None
    if (teacher or teacher_quantization != "none") and stage != "distill":
        raise ModelError("--teacher and --teacher-quantization are for a stage with a teacher; add --stage distill")
    setup = setup_for(
        method,
        dtype,
        device,
        row_tokens=max_tokens * (schema.branches if schema else 1),
        processes=max(processes, shard * replicate, sequence),
        shards=shard,
        sequence=sequence,
        rank=rank,
        checkpointing=checkpointing,
        offload=offload,
        optimizer=optimizer,
    )
    estimated = footprint.estimate(found, setup)
    if schema is not None:
        taught = shape.shape_of_model(teacher, None, trust_remote_code) if teacher else None
        others = roles.usual_roles(schema, method != "full", found, max_tokens, taught, teacher_quantization)
        estimated = roles.with_roles(estimated, found, others)
    typer.echo(_report(f"{model or params} ({stage})" if stage else str(model or params), found.parameters, estimated))


def _report(name: str, parameters: int, estimated: "MemoryEstimate") -> str:
    from medicalgpt.memory.estimate import gigabytes

    setup = estimated.setup
    shared = f" on {setup.sequence} processes" if setup.sequence > 1 else ""
    lines = [
        translated(
            f"{name}: {parameters / 1e6:,.1f} M parameters, {estimated.trained_parameters / 1e6:,.2f} M trained ({setup.method})"
        ),
        translated(
            f"{setup.dtype} weights, {setup.compute} compute, rows of {setup.row_tokens} tokens{shared}, "
            f"gradient checkpointing {'on' if setup.checkpointing else 'off'}"
            + (f", {setup.optimizer}" if setup.optimizer != "adamw" else "")
        ),
        *(_part_line(part, size) for part, size in (*estimated.parts.items(), ("total", estimated.total))),
    ]
    if estimated.host:
        lines.append(translated(f"in main memory, each process's part: {gigabytes(estimated.host)}"))
    lines.append(translated(f"a checkpoint on disk: {gigabytes(estimated.checkpoint)}"))
    together = gigabytes(estimated.all_processes)
    if setup.shards > 1:
        lines.append(
            translated(
                f"each of {setup.processes} processes that hold 1/{setup.shards} of the model: {together} together"
            )
        )
    elif setup.sequence > 1:
        lines.append(translated(f"each of {setup.processes} processes that hold the model: {together} together"))
    elif setup.processes > 1:
        lines.append(translated(f"each of {setup.processes} data-parallel processes: {together} together"))
    if setup.shards > 1 or setup.sequence > 1:
        lines.append(translated(_traffic_line(estimated)))
    return "\n".join(lines)


def _part_line(part: str, size: int) -> str:
    """A part with its size, in columns of a terminal."""
    from medicalgpt.memory.estimate import gigabytes

    return f"  {padded(translated(part), 14)} {gigabytes(size):>10}"


def _traffic_line(estimated: "MemoryEstimate") -> str:
    """What the processes tell one another, so that it can be compared with the links between them."""
    from medicalgpt.memory.estimate import gigabytes

    traffic, setup = estimated.traffic, estimated.setup
    between = f", and {gigabytes(traffic.copies)} a step between groups" if traffic.copies else ""
    swaps = f", {gigabytes(traffic.swaps)} of it to swap tokens for heads" if traffic.swaps else ""
    row = gigabytes(traffic.row + traffic.swaps)
    return f"traffic of a process: {row} for each row of {setup.row_tokens} tokens{swaps}{between}"
