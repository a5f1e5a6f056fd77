"""Benchmark of one model before and after quantizing: perplexity on a text, bytes on disk, tokens per second."""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import medicalgpt
from medicalgpt.data.records import Message
from medicalgpt.errors import DataError
from medicalgpt.export.logprobs import language_logprobs
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling

_CHUNK = 512  # tokens a text is cut into
_MOST = 8192  # tokens read of a text: enough for a steady number, and minutes at most on two cores
_SAMPLE = Path("examples", "data", "documents-heldout", "en", "01-atrial-fibrillation.md")
_QUESTION = "Explain in simple words what high blood pressure is and what a person can do about it."


@dataclass(frozen=True)
class Cost:
    """Perplexity per token of the text, megabytes of weight files, greedily decoded tokens per second of one answer."""

    perplexity: float
    megabytes: float
    tokens_per_second: float

    def as_dict(self) -> dict[str, float]:
        """Plain values for JSON."""
        return asdict(self)


def default_text() -> Path:
    """The project's sample text, in a clone of the repository; raises DataError where there is none."""
    for root in (Path.cwd(), Path(medicalgpt.__file__).parents[2]):
        if (root / _SAMPLE).is_file():
            return root / _SAMPLE
    raise DataError(f"the sample text {_SAMPLE.as_posix()} is not here; name a UTF-8 text file with --text")


def read_text(path: Path) -> str:
    """A text file; raises DataError with what is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"--text {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"--text {path} is not UTF-8 (byte {error.start}); convert it first") from error
    if len(text.split()) < 2 and len(text) < 16:
        raise DataError(f"--text {path} holds too little text to measure anything")
    return text


def measure(engine: Engine, text: str, weights: Path, new_tokens: int = 128) -> Cost:
    """Measure a loaded model; `weights` is the folder its weight files lie in, if it is one."""
    ids = engine.tokenizer(text, add_special_tokens=False, truncation=True, max_length=_MOST)["input_ids"]
    return Cost(perplexity(engine, ids), megabytes(engine, weights), speed(engine, new_tokens))


def perplexity(engine: Engine, ids: Sequence[int]) -> float:
    """exp of the mean NLL of every token but the first of each piece of 512, given those before it in its piece."""
    assert engine.model is not None
    logprobs, total, count = language_logprobs(engine.model), 0.0, 0
    width = min(_CHUNK, engine.context or _CHUNK)
    for start in range(0, len(ids) - 1, width):
        piece = list(ids[start : start + width])
        if len(piece) < 2:
            break
        logps = logprobs(piece)[:-1]
        found = logps[range(len(piece) - 1), piece[1:]]
        total, count = total - float(found.double().sum()), count + len(piece) - 1
    return math.exp(total / count)


def megabytes(engine: Engine, folder: Path) -> float:
    """Size of the weight files in 10⁶ bytes; of a Hub model, whose files lie in its own cache, that of the loaded weights."""
    if folder.is_dir():
        return sum(f.stat().st_size for f in folder.glob("*.safetensors")) / 1e6
    assert engine.model is not None
    return sum(p.nbytes for p in engine.model.parameters()) / 1e6


def speed(engine: Engine, new_tokens: int) -> float:
    """Tokens per second of one greedy answer, prompt included: the better of two, after a short one to warm up."""
    ids = engine.prepare([Message("user", _QUESTION)], Sampling(max_new_tokens=1)).ids
    engine.complete([ids], Sampling(max_new_tokens=12, temperature=0.0))
    rates = []
    for _ in range(2):
        start = time.perf_counter()
        ((answer,),) = engine.complete([ids], Sampling(max_new_tokens=new_tokens, temperature=0.0))
        rates.append(len(answer) / (time.perf_counter() - start))
    return max(rates)
