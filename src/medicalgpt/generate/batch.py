"""A file of prompts in, a file of answers out: checked before it starts, written in order, continued after a stop.

On several processes each row is answered by one of them, and the first writes all.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from medicalgpt.data.ledger import place
from medicalgpt.errors import DataError, GrammarError, RenderError, ServeError
from medicalgpt.generate.answer import read_answer
from medicalgpt.generate.distributed import ALONE, Workers
from medicalgpt.generate.engine import Completion, Engine
from medicalgpt.generate.output import Output
from medicalgpt.generate.prompts import EncodedPrompt
from medicalgpt.generate.rows import BadPrompt, BatchPrompt, read_prompts, read_rows
from medicalgpt.generate.sampling import LATER, Sampling
from medicalgpt.runs.hashes import hash_file

_WINDOW = 4  # batches that are sorted by length together and then written: less padding, but later on the disk

Progress = Callable[[int, int], None]
"""Called with (rows done, new tokens so far)."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a batch amounts to. `tokens` and `seconds` count this call only, the others all rows of the output.

    `unanswered` are rows without an answer, as they could not be asked.
    """

    rows: int
    resumed: int
    unanswered: int
    stopped: int
    shortened: int
    tokens: int
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        """New tokens of this call a second."""
        return self.tokens / self.seconds if self.seconds else 0.0


def run_batch(
    engine: Engine,
    source: Path,
    output: Output,
    sampling: Sampling,
    *,
    batch_size: int = 8,
    system: str | None = None,
    history: bool = True,
    strict: bool = True,
    progress: Progress = lambda rows, tokens: None,
    workers: Workers = ALONE,
) -> Summary:
    """Answer every row of `source` that `output` does not hold yet.

    Args:
        history: False asks the last question of every row alone.
        strict: a row that cannot be asked (no prompt, or too long for the model) is an error; else it is written without an
            answer, and `problem` says why, with file:line.
        workers: the processes that share the rows; all of them call this, and the summary of the first one counts.

    Raises:
        DataError: with `strict`, a row that cannot be asked, before anything is generated.
        ServeError: the output belongs to other settings or cannot be written; rows written so far are kept. Or the engine
            cannot hold answers to the constraint, before anything is generated.
    """
    asked = partial(read_rows, source, system, history)

    def begin() -> int:
        if sampling.constraint is not None:
            engine.require(sampling.constraint)
        if strict:
            _check_prompts(engine, read_prompts(source, system, history), sampling)
        drawn = asdict(sampling)
        # Outputs begun by a version without these can be gone on with.
        drawn = {name: value for name, value in drawn.items() if value or name not in LATER}
        how = {"system": system, "history": history, "sampling": drawn}
        settings: dict[str, object] = {"input": hash_file(source), "model": engine.origin, **how}
        return output.start(settings)

    def answer(window: _Window) -> list[dict[str, object]]:
        return _answered(engine, window, sampling, batch_size)

    with output:
        resumed = workers.first_does(begin)
        start, tokens = time.perf_counter(), 0
        progress(resumed, 0)
        for rows in workers.share(_windows(asked(), resumed, _WINDOW * batch_size), answer):
            output.write(rows)
            tokens += sum(count for row in rows if isinstance(count := row.get("tokens"), int))
            progress(output.rows, tokens)
        seconds = time.perf_counter() - start
        if workers.first:
            output.finish()
    return Summary(output.rows, resumed, output.unanswered, output.stopped, output.shortened, tokens, seconds)


@dataclass(frozen=True, slots=True)
class _Window:
    """Rows that are decoded together, and the number of the first of them in the file."""

    first: int
    rows: list[BatchPrompt | BadPrompt]


def _check_prompts(engine: Engine, rows: Iterable[BatchPrompt], sampling: Sampling) -> None:
    for asked in rows:
        encoded = _encoded(engine, asked, sampling)
        if isinstance(encoded, str):
            raise DataError(encoded)


def _encoded(engine: Engine, row: BatchPrompt | BadPrompt, sampling: Sampling) -> EncodedPrompt | str:
    """A row's prompt as tokens, or why it cannot be asked and where it stands."""
    if isinstance(row, BadPrompt):
        return row.problem
    try:
        return engine.prepare(row.prompt, sampling)
    except (ServeError, RenderError) as error:
        source = row.prompt.source
        return f"{place(Path(source.file), source.row)}: {error}"


def _answered(engine: Engine, window: _Window, sampling: Sampling, batch_size: int) -> list[dict[str, object]]:
    """Output rows. A row keeps its number, and with it its seed, whatever becomes of the rows before it."""
    encoded = [_encoded(engine, row, sampling) for row in window.rows]
    fine = {i: prompt for i, prompt in enumerate(encoded) if isinstance(prompt, EncodedPrompt)}
    numbers = [window.first + i for i in fine]
    try:
        answers: Sequence[Completion | str] = engine.generate(
            list(fine.values()), sampling, batch_size=batch_size, numbers=numbers
        )
    except GrammarError:  # of one of them
        answers = [_alone(engine, prompt, sampling, number) for prompt, number in zip(fine.values(), numbers)]
    found = dict(zip(fine, answers))
    return [_row_of(engine, row, found.get(i, encoded[i])) for i, row in enumerate(window.rows)]


def _alone(engine: Engine, prompt: EncodedPrompt, sampling: Sampling, number: int) -> Completion | str:
    """A row's answer, or why it could not be held to its schema."""
    try:
        return engine.generate([prompt], sampling, numbers=[number])[0]
    except GrammarError as error:
        return str(error)


def _row_of(
    engine: Engine, row: BatchPrompt | BadPrompt, answer: Completion | EncodedPrompt | str
) -> dict[str, object]:
    if isinstance(row, BatchPrompt) and isinstance(answer, Completion):
        return _row(engine, row, answer)
    return {**row.fields, "problem": answer}


def _windows(rows: Iterator[BatchPrompt | BadPrompt], done: int, size: int) -> Iterator[_Window]:
    rest = itertools.islice(rows, done, None)
    while window := list(itertools.islice(rest, size)):
        yield _Window(done, window)
        done += len(window)


def _row(engine: Engine, asked: BatchPrompt, answer: Completion) -> dict[str, object]:
    """The input row as it was, with the answer; an answer that it had already is its reference."""
    tools = asked.prompt.tools
    tool_format = engine.template.tool_use.format if tools else None
    read = read_answer(answer.text, tool_format, tools, answer.thinking)
    parts = {
        "reasoning": read.reasoning,
        "tool_calls": list(read.calls) or None,
        "tool_problems": [problem.reason for problem in read.problems] or None,
    }
    reference = {} if asked.reference is None else {"reference": asked.reference}
    dropped = {"dropped_turns": answer.dropped_turns} if answer.dropped_turns else {}
    ended = {"stopped": answer.stopped, "tokens": len(answer.token_ids)}
    found = {name: value for name, value in parts.items() if value is not None}
    return {**asked.fields, **reference, "response": read.content, **found, **ended, **dropped}
