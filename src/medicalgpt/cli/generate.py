"""`medicalgpt generate`: answer every prompt of a file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from medicalgpt.cli import model_options as option


def generate(
    model: option.Model,
    source: Annotated[Path, typer.Option("--input", metavar="FILE", help="Prompts (.jsonl .json .csv .tsv .parquet).")],
    target: Annotated[Path, typer.Option("--output", metavar="FILE", help="Rows with `response` as JSON lines.")],
    batch_size: Annotated[int, typer.Option(min=1, help="Prompts answered at the same time.")] = 8,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished output.")] = False,
    system: option.System = None,
    max_new_tokens: option.MaxNewTokens = 256,
    temperature: option.Temperature = 0.0,
    top_p: option.TopP = 1.0,
    top_k: option.TopK = 0,
    repetition_penalty: option.RepetitionPenalty = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of sampled answers.", rich_help_panel="Sampling")] = 42,
    stop: option.Stop = None,
    template: option.Template = None,
    tool_format: option.ToolFormat = None,
    adapter: option.Adapter = None,
    revision: option.Revision = None,
    dtype: option.Dtype = "auto",
    quantization: option.Quantization = "none",
    backend: option.Backend = "auto",
    trust_remote_code: option.TrustRemoteCode = False,
) -> None:
    """Answer every prompt of a file: rows with messages, conversations, prompt, question or instruction.

    A dialogue that ends with an answer is asked again without it; the old answer is kept as `reference`. Thoughts go to
    `reasoning`, calls of a row's tools to `tool_calls`, and what is wrong with a call to `tool_problems`.
    """
    from medicalgpt.generate.output import Output
    from medicalgpt.generate.rows import count_prompts
    from medicalgpt.generate.sampling import Sampling

    sampling = Sampling(
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        repetition_penalty=repetition_penalty,
        seed=seed,
        stop=tuple(stop or ()),
    )
    output = Output(target)
    if output.check(resume):
        typer.echo(f"{target} is complete already")
        return
    rows = count_prompts(source, system)

    from medicalgpt.generate.batch import run_batch
    from medicalgpt.generate.engine import Engine

    engine = Engine.open(
        model,
        adapter=adapter,
        template=template,
        tool_format=tool_format,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
        quantization=quantization,
        revision=revision,
        backend=backend,
    )
    with _progress(rows) as progress, _how_to_go_on(output.partial):
        summary = run_batch(engine, source, output, sampling, batch_size=batch_size, system=system, progress=progress)
    earlier = f" ({summary.resumed} of them from an earlier call)" if summary.resumed else ""
    typer.echo(f"{summary.rows} rows{earlier} → {target}")
    typer.echo(
        f"{summary.tokens} new tokens in {summary.seconds:.1f} s, {summary.tokens_per_second:.1f} tokens/s; "
        f"stop rate {summary.stopped / summary.rows:.1%}"
    )
    if summary.shortened:
        typer.echo(f"{summary.shortened} rows lost their oldest turns, as they did not fit into the model's context")


@contextmanager
def _how_to_go_on(partial: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if partial.exists():
            typer.echo(f"{partial} keeps the answers so far; the same command with --resume goes on", err=True)
        raise


@contextmanager
def _progress(rows: int) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on the error stream; nothing where that is no terminal."""
    import time

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task, start = bar.add_task("", total=rows), time.perf_counter()

        def update(done: int, tokens: int) -> None:
            rate = tokens / max(time.perf_counter() - start, 1e-9)
            bar.update(task, completed=done, description=f"{rate:.0f} tokens/s" if tokens else "")

        yield update
