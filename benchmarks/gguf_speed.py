"""A model as GGUF in llama.cpp against the same model in float32 through our own decoder, on the CPU: size and tokens/s.

usage: gguf_speed.py [--model smollm2-135m] [--types q8_0 f16] [--tokens 64] [--rounds 3]
Each round asks every contestant for 1 and for 16 answers of exactly --tokens tokens (stop tokens are forbidden), to the
first questions of the held-out sample dialogues, greedily, with the same number of threads; the median of the rounds
counts. One process and one run, so that the ratios are of one machine in one state. Files are made anew in a temporary
folder.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import get_args

import torch

from medicalgpt.config.sections import ModelConfig
from medicalgpt.data.records import Message
from medicalgpt.export.gguf import export_gguf
from medicalgpt.export.gguf_writer import GgufType
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling
from medicalgpt.models.locate import locate

QUESTIONS = Path(__file__).parents[1] / "examples" / "data" / "dialogues-heldout" / "en.jsonl"
SIZES = (1, 16)


def prompts() -> list[list[Message]]:
    """The first user turns of the sample dialogues."""
    rows = [json.loads(line)["messages"] for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]
    asked = [next(turn["content"] for turn in turns if turn["role"] == "user") for turns in rows]
    return [[Message("user", text)] for text in asked[: max(SIZES)]]


def rate(engine: Engine, asked: list[list[Message]], tokens: int) -> float:
    """New tokens a second, prompts included in the time."""
    sampling = Sampling(tokens, min_new_tokens=tokens)
    start = time.perf_counter()
    made = engine.generate(asked, sampling, batch_size=len(asked))
    seconds = time.perf_counter() - start
    assert all(len(answer.token_ids) == tokens for answer in made)
    return tokens * len(asked) / seconds


def measure(engines: dict[str, Engine], tokens: int, rounds: int) -> dict[str, dict[int, float]]:
    """Median tokens/s by contestant and number of prompts; contestants take turns within a round."""
    asked = prompts()
    found: dict[str, dict[int, list[float]]] = {name: {size: [] for size in SIZES} for name in engines}
    for engine in engines.values():
        rate(engine, asked, 2)  # room for 16 answers, and first touches of memory
    for _ in range(rounds):
        for size in SIZES:
            for name, engine in engines.items():
                found[name][size].append(rate(engine, asked[:size], tokens))
    return {name: {size: statistics.median(rates) for size, rates in by.items()} for name, by in found.items()}


def main() -> None:
    """Export, measure, print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--types", nargs="+", default=["q8_0", "f16"], choices=get_args(GgufType))
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    words = parser.parse_args()
    engines = {"float32": Engine.open(words.model, dtype="float32", inference_only=True)}
    weights = Path(locate(words.model).folder).glob("*.safetensors")
    sizes = {"float32": sum(path.stat().st_size for path in weights)}
    with tempfile.TemporaryDirectory() as folder:
        for kind in words.types:
            path = Path(folder) / f"{kind}.gguf"
            sizes[kind] = export_gguf(ModelConfig(base=words.model, dtype="float32"), path, kind).size
            engines[kind] = Engine.open(str(path))
        rates = measure(engines, words.tokens, words.rounds)
    print(f"{words.model}, {words.tokens} tokens an answer, {torch.get_num_threads()} threads, {words.rounds} rounds")
    print(
        "| weights | MB | tokens/s, 1 prompt | ratio | tokens/s, 16 prompts | ratio |\n|---|---:|---:|---:|---:|---:|"
    )
    for name, by in rates.items():
        cells = [f"{by[size]:.1f} | {by[size] / rates['float32'][size]:.2f}" for size in SIZES]
        print(f"| {name} | {sizes[name] / 1e6:.0f} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
