"""A file of prompts in, a file of answers out: checked before it starts, written in order, continued after a stop."""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medicalgpt.errors import DataError, RenderError, ServeError
from medicalgpt.generate.answer import read_answer
from medicalgpt.generate.engine import Completion, Engine
from medicalgpt.generate.output import Output
from medicalgpt.generate.rows import Asked, place, read_prompts
from medicalgpt.generate.sampling import Sampling
from medicalgpt.runs.hashes import hash_file

_WINDOW = 4  # batches that are sorted by length together and then written: less padding, but later on the disk

Progress = Callable[[int, int], None]
"""Called with (rows done, new tokens so far)."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a batch amounts to. `tokens` and `seconds` count this call only, the others all rows of the output."""

    rows: int
    resumed: int
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
    progress: Progress = lambda rows, tokens: None,
) -> Summary:
    """Answer every row of `source` that `output` does not hold yet.

    Raises:
        DataError: a row that cannot be asked (no prompt, or too long for the model), before anything is generated.
        ServeError: the output belongs to other settings or cannot be written; rows written so far are kept.
    """
    _check_prompts(engine, source, sampling, system)
    settings = {"input": hash_file(source), "system": system, "model": engine.origin, "sampling": asdict(sampling)}
    with output:
        resumed = output.start(settings)
        start, tokens = time.perf_counter(), 0
        progress(resumed, 0)
        for window in _windows(itertools.islice(read_prompts(source, system), resumed, None), _WINDOW * batch_size):
            prompts = [asked.prompt for asked in window]
            answers = engine.generate(prompts, sampling, batch_size=batch_size, first_index=output.rows)
            output.write([_row(engine, asked, answer) for asked, answer in zip(window, answers)])
            tokens += sum(len(answer.token_ids) for answer in answers)
            progress(output.rows, tokens)
        seconds = time.perf_counter() - start
        output.finish()
    return Summary(output.rows, resumed, output.stopped, output.shortened, tokens, seconds)


def _check_prompts(engine: Engine, source: Path, sampling: Sampling, system: str | None) -> None:
    for asked in read_prompts(source, system):
        try:
            engine.prepare(asked.prompt, sampling)
        except (ServeError, RenderError) as error:
            row = asked.prompt.source
            raise DataError(f"{place(source, row.row)}: {error}") from error


def _windows(rows: Iterator[Asked], size: int) -> Iterator[list[Asked]]:
    while window := list(itertools.islice(rows, size)):
        yield window


def _row(engine: Engine, asked: Asked, answer: Completion) -> dict[str, Any]:
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
