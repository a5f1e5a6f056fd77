"""`medicalgpt generate`: answer every prompt of a file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from medicalgpt.cli import model_options as option

if TYPE_CHECKING:
    from medicalgpt.generate.distributed import Workers
    from medicalgpt.generate.output import Output
    from medicalgpt.generate.sampling import Sampling

BadRows = Literal["report", "error"]


def generate(
    model: option.Model,
    source: Annotated[
        Path, typer.Option("--input", metavar="FILE", help="Prompts (.jsonl .json .csv .tsv .parquet .txt).")
    ],
    target: Annotated[Path, typer.Option("--output", metavar="FILE", help="Rows with `response` as JSON lines.")],
    batch_size: Annotated[int, typer.Option(min=1, help="Prompts answered at the same time.")] = 8,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished output.")] = False,
    on_bad_row: Annotated[
        BadRows,
        typer.Option(help="A row that cannot be asked: report it in the output and go on, or stop before the first."),
    ] = "report",
    system: option.System = None,
    no_history: option.NoHistory = False,
    max_new_tokens: option.MaxNewTokens = 256,
    temperature: option.Temperature = 0.0,
    top_p: option.TopP = 1.0,
    top_k: option.TopK = 0,
    repetition_penalty: option.RepetitionPenalty = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of sampled answers.", rich_help_panel="Sampling")] = 42,
    stop: option.Stop = None,
    template: option.Template = None,
    family: option.Family = "auto",
    tool_format: option.ToolFormat = None,
    adapter: option.Adapter = None,
    tokenizer: option.Tokenizer = None,
    resize_embeddings: option.ResizeEmbeddings = False,
    revision: option.Revision = None,
    dtype: option.Dtype = "auto",
    quantization: option.Quantization = "none",
    backend: option.Backend = "auto",
    trust_remote_code: option.TrustRemoteCode = False,
) -> None:
    """Answer every prompt of a file: rows with messages, conversations, prompt, question or instruction.

    A dialogue that ends with an answer is asked again without it; the old answer is kept as `reference`. Thoughts go to
    `reasoning`, calls of a row's tools to `tool_calls`, and what is wrong with a call to `tool_problems`. A text file is one
    question a line. Under torchrun the processes share the rows.
    """
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
    answer_file(
        {
            "run_or_path": model,
            "adapter": adapter,
            "template": template,
            "family": family,
            "tool_format": tool_format,
            "tokenizer": tokenizer,
            "resize_embeddings": resize_embeddings,
            "dtype": dtype,
            "trust_remote_code": trust_remote_code,
            "quantization": quantization,
            "revision": revision,
            "backend": backend,
        },
        FileJob(source, target, batch_size, system, not no_history, resume, strict=on_bad_row == "error"),
        sampling,
    )


@dataclass(frozen=True)
class FileJob:
    """Which file is answered into which, and how its rows are read.

    `history` False asks each question alone; `strict` stops where a row cannot be asked.
    """

    source: Path
    target: Path
    batch_size: int
    system: str | None
    history: bool
    resume: bool
    strict: bool = False


def answer_file(opening: dict[str, Any], job: FileJob, sampling: "Sampling") -> None:
    """Answer a file on all processes of this job. `opening` are the arguments of `Engine.open`.

    Raises:
        DataError, ServeError, ModelError, RenderError: as `run_batch` and `Engine.open`.
    """
    from medicalgpt.generate import distributed
    from medicalgpt.generate.output import Output
    from medicalgpt.generate.rows import count_prompts

    workers = distributed.join()
    output = Output(job.target)

    def look() -> int | None:
        """The number of rows, or None when there is nothing left to do."""
        if output.check(job.resume or distributed.restarted()):
            return None
        return count_prompts(job.source, job.system, job.strict)

    try:
        rows = workers.first_does(look)
        if rows is not None:
            _answer(opening, job, sampling, output, workers, rows)
        elif workers.first:
            typer.echo(f"{job.target} is complete already")
    finally:
        distributed.leave(workers)


def _answer(
    opening: dict[str, Any], job: FileJob, sampling: "Sampling", output: "Output", workers: "Workers", rows: int
) -> None:
    from medicalgpt.generate.batch import run_batch
    from medicalgpt.generate.engine import Engine
    from medicalgpt.generate.questions import describe

    def say(line: str) -> None:
        if workers.first:
            typer.echo(line, err=True)

    say(describe(job.source, rows) + (f", shared by {workers.size} processes" if workers.size > 1 else ""))
    engine = workers.all_do(lambda: Engine.open(**opening, say=say))
    with _progress(rows, workers.first) as progress, _how_to_go_on(output.partial, workers.first):
        how: dict[str, Any] = {"batch_size": job.batch_size, "system": job.system, "history": job.history}
        how["strict"] = job.strict
        summary = run_batch(engine, job.source, output, sampling, progress=progress, workers=workers, **how)
    if not workers.first:
        return
    earlier = f" ({summary.resumed} of them from an earlier call)" if summary.resumed else ""
    typer.echo(f"{summary.rows} rows{earlier} → {job.target}")
    typer.echo(
        f"{summary.tokens} new tokens in {summary.seconds:.1f} s, {summary.tokens_per_second:.1f} tokens/s; "
        f"stop rate {summary.stopped / max(summary.rows - summary.unanswered, 1):.1%}"
    )
    if summary.unanswered:
        typer.echo(
            f"{summary.unanswered} rows could not be asked: `problem` says why in their place in the output", err=True
        )
    if summary.shortened:
        typer.echo(f"{summary.shortened} rows lost their oldest turns, as they did not fit into the model's context")


@contextmanager
def _how_to_go_on(partial: Path, shown: bool) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if shown and partial.exists():
            typer.echo(
                f"{partial} keeps the answers so far; the same command goes on (generate: with --resume)", err=True
            )
        raise


@contextmanager
def _progress(rows: int, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on the error stream; nothing where that is no terminal."""
    import time

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal)) as bar:
        task, start = bar.add_task("", total=rows), time.perf_counter()

        def update(done: int, tokens: int) -> None:
            rate = tokens / max(time.perf_counter() - start, 1e-9)
            bar.update(task, completed=done, description=f"{rate:.0f} tokens/s" if tokens else "")

        yield update
