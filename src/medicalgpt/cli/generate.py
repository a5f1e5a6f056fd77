"""`medicalgpt generate`: answer every prompt of a file."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from medicalgpt.cli import model_options as option
from medicalgpt.cli.say import say
from medicalgpt.generate.model_options import ModelOptions

if TYPE_CHECKING:
    from medicalgpt.generate.distributed import Workers
    from medicalgpt.generate.output import Output
    from medicalgpt.generate.sampling import Sampling

BadRows = Literal["report", "error"]


@option.model_command(
    tools=True,
    sampling=option.SamplingOptions(max_new_tokens=256, temperature=0.0, top_p=1.0, seed=42),
    seed_help="Seed of sampled answers.",
    inference_only=True,
)
def generate(
    options: ModelOptions,
    sampling: option.SamplingOptions,
    model: option.Model,
    source: Annotated[
        Path,
        typer.Option(
            "--input",
            metavar="FILE",
            help="Prompts (.jsonl .json .csv .tsv .xlsx .parquet .arrow .txt), or hf://owner/name/split.",
        ),
    ],
    target: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="Rows with `response`: .jsonl, .json, .csv, .tsv or .xlsx.")
    ],
    batch_size: Annotated[int, typer.Option(min=1, help="Prompts answered at the same time.")] = 8,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished output.")] = False,
    on_bad_row: Annotated[
        BadRows,
        typer.Option(help="A row that cannot be asked: report it in the output and go on, or stop before the first."),
    ] = "report",
    json_schema: Annotated[
        Path | None,
        typer.Option(
            "--json-schema",
            metavar="FILE",
            help="Hold every answer to the JSON schema in this file (medicalgpt\\[structured]).",
        ),
    ] = None,
    system: option.System = None,
    no_history: option.NoHistory = False,
) -> None:
    """Answer every prompt of a file: rows with messages, conversations, prompt, question or instruction.

    A dialogue that ends with an answer is asked again without it; the old answer is kept as `reference`. Thoughts go to
    `reasoning`, calls of a row's tools to `tool_calls`, and what is wrong with a call to `tool_problems`. A text file is one
    question a line. Under torchrun the processes share the rows.
    """
    job = FileJob(source, target, batch_size, system, not no_history, resume, strict=on_bad_row == "error")
    drawn = sampling.sampling(42)
    answer_file(model, options, job, drawn if json_schema is None else _held(drawn, json_schema))


def _held(sampling: "Sampling", schema: Path) -> "Sampling":
    from medicalgpt.structured.schema_file import read_schema

    return replace(sampling, constraint=read_schema(schema))


@dataclass(frozen=True)
class FileJob:
    """Which file is answered into which, and how its rows are read.

    `history` False asks each question alone; `strict` stops where a row cannot be asked. `lines` and
    `names` are those of `Output`; `about` says what the file is where its name does not.
    """

    source: Path
    target: Path
    batch_size: int
    system: str | None
    history: bool
    resume: bool
    strict: bool = False
    lines: bool = False
    names: Mapping[str, str] | None = None
    about: str | None = None


def answer_file(model: str, options: ModelOptions, job: FileJob, sampling: "Sampling") -> None:
    """Answer a file on all processes of this job.

    Raises:
        DataError, ServeError, ModelError, RenderError: as `run_batch` and `Engine.open`.
    """
    from medicalgpt.data.sources import one_file
    from medicalgpt.generate import distributed
    from medicalgpt.generate.output import Output
    from medicalgpt.generate.rows import count_prompts

    output = Output(job.target, lines=job.lines, names=job.names)  # a name that is refused costs no waiting
    workers = distributed.join()

    def look() -> int | None:
        """The number of rows, or None when there is nothing left to do."""
        if output.check(job.resume or distributed.restarted()):
            return None
        return count_prompts(one_file(job.source), job.system, job.strict)

    try:
        rows = workers.first_does(look)
        if rows is not None:
            job = replace(job, source=one_file(job.source))  # which the first process has fetched for all
            _answer(model, options, job, sampling, output, workers, rows)
        elif workers.first:
            say(f"{job.target} is complete already")
    finally:
        distributed.leave(workers)


def _answer(
    model: str,
    options: ModelOptions,
    job: FileJob,
    sampling: "Sampling",
    output: "Output",
    workers: "Workers",
    rows: int,
) -> None:
    from medicalgpt.generate.batch import run_batch
    from medicalgpt.generate.engine import Engine
    from medicalgpt.generate.questions import describe

    def tell(line: str) -> None:
        if workers.first:
            say(line, err=True)

    tell(
        (job.about or describe(job.source, rows))
        + (f", shared by {workers.size} processes" if workers.size > 1 else "")
    )
    engine = workers.all_do(lambda: Engine.open(model, **vars(options), say=tell))
    with _progress(rows, workers.first) as progress, _how_to_go_on(output.partial, workers.first):
        how: dict[str, Any] = {"batch_size": job.batch_size, "system": job.system, "history": job.history}
        how["strict"] = job.strict
        summary = run_batch(engine, job.source, output, sampling, progress=progress, workers=workers, **how)
    if not workers.first:
        return
    earlier = f" ({summary.resumed} of them from an earlier call)" if summary.resumed else ""
    say(f"{summary.rows} rows{earlier} → {job.target}")
    say(
        f"{summary.tokens} new tokens in {summary.seconds:.1f} s, {summary.tokens_per_second:.1f} tokens/s; "
        f"stop rate {summary.stopped / max(summary.rows - summary.unanswered, 1):.1%}"
    )
    if summary.unanswered:
        say(f"{summary.unanswered} rows could not be asked: `problem` says why in their place in the output", err=True)
    if summary.shortened:
        say(f"{summary.shortened} rows lost their oldest turns, as they did not fit into the model's context")


@contextmanager
def _how_to_go_on(partial: Path, shown: bool) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if shown and partial.exists():
            say(f"{partial} keeps the answers so far; the same command goes on (generate: with --resume)", err=True)
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
