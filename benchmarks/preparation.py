"""Time against the length of a dialogue, and the preparation of many dialogues against datasets.map.

usage: preparation.py [--turns 10,100,1000,10000] [--rows 50000] [--processes 1,2] [--rounds 3] [--memory 20000,100000,500000]
                      [--only slope,rows,memory]
Dialogues of that many turns go through training's preparation, data inspect, and a prompt whole and cut to the context; the
slope of log time over log turns (without the shortest, which is mostly start) is 1 where time grows with the text, 2 where
it grows with its square. The rows are made-up dialogues in English and Chinese (dialogues.py); both sides tokenize them with
the same tokenizer and template, none is cut. Ours reads, splits, checks and stores them, too; the other side has them in
memory. Rates are rows by second of processor time, of all processes together; both sides go by turns, and the ratio is the
median of the rounds, as what else runs on the machine slows both. The floor is the tokenizer alone on the finished texts, in one
call. Memory is the most that a fresh process with one worker takes for so many short dialogues.
"""

import argparse
import functools
import json
import math
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dialogues import dialogues, written
from medicalgpt.config.sections import DataConfig
from medicalgpt.data.records import Message
from medicalgpt.generate.prompts import prepare as prepare_prompt
from medicalgpt.models.load import load_tokenizer
from medicalgpt.models.locate import locate
from medicalgpt.rendering.build import prepare
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.training.inspect import inspect

MODEL, LONG = "smollm2-135m", 1 << 20
COMPLAINTS = (
    *("a dry cough", "a mild fever", "pain in the lower back", "a headache that comes in the evening"),
    *("heartburn after meals", "an itchy rash on both arms", "swollen ankles", "trouble falling asleep"),
)
SINCE = ("for three days", "since last week", "for about a month", "on and off for two years")
ADVICE = (
    "Drink enough water and rest.",
    "Keep a diary of when it comes and what you did before.",
    "A pharmacist can tell you which of your medicines may cause this.",
    "See a doctor soon if it gets worse or new symptoms come.",
    "Go to an emergency department at once if you have chest pain or trouble breathing.",
    "Do not take more than the dose on the leaflet.",
)


def turns(count: int, chance: random.Random) -> list[dict[str, str]]:
    """A dialogue of `count` turns, question and answer by turns."""
    found = []
    for number in range(0, count, 2):
        asked = (
            f"I am {chance.randint(18, 90)} and have had {chance.choice(COMPLAINTS)} {chance.choice(SINCE)}. And now?"
        )
        found.append({"role": "user", "content": f"{number + 1}. {asked}"})
        found.append({"role": "assistant", "content": " ".join(chance.sample(ADVICE, chance.randint(1, 4)))})
    return found


def seconds(work: Callable[[], Any], rounds: int = 2) -> float:
    """The quickest of some rounds: what else runs on the machine only ever adds to the time."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def prepared(file: Path, template: ChatTemplate, workers: int, **data: Any) -> None:
    """Read, render and store a file in a fresh cache."""
    with tempfile.TemporaryDirectory() as cache:
        prepare(DataConfig(train=[str(file)], workers=workers, **data), "dialogue", template, Path(cache), 0)


def prompted(file: Path, template: ChatTemplate) -> None:
    """The first dialogue and one more question, whole and cut to 2,048 tokens, with a template that knows nothing yet."""
    with file.open(encoding="utf-8") as lines:
        told = json.loads(next(lines))["messages"]
    asked = [*(Message(turn["role"], turn["content"]) for turn in told), Message("user", "And now?")]
    for context in (LONG, 2048):
        prepare_prompt(asked, ChatTemplate(template.tokenizer, template.source, template.name), context, 64)


def slopes(template: ChatTemplate, lengths: list[int], folder: Path) -> dict[str, float]:
    """Print seconds by turns; gives the slopes."""
    files = [written(folder / f"{n}.jsonl", (turns(n, random.Random(seed)) for seed in range(2))) for n in lengths]
    whole = DataConfig(train=["-"], max_tokens=LONG)
    work: dict[str, Callable[[Path], Any]] = {
        "prepare": lambda file: prepared(file, template, 1, max_tokens=LONG, eval_fraction=0),
        "inspect": lambda file: inspect([str(file)], whole, MODEL, 0),
        "prompt": lambda file: prompted(file, template),
    }
    print("| turns | " + " | ".join(map(str, lengths)) + " | slope |\n|---|" + "---:|" * (len(lengths) + 1))
    found = {}
    for name, act in work.items():
        taken = [seconds(lambda act=act, file=file: act(file)) for file in files]  # type: ignore[misc]
        xs, ys = ([math.log(value) for value in values[1:]] for values in (lengths, taken))
        found[name] = statistics.linear_regression(xs, ys).slope
        print(f"| {name}, s | " + " | ".join(f"{v:.3f}" for v in taken) + f" | {found[name]:.2f} |", flush=True)
    return found


def processor_seconds(work: Callable[[], Any]) -> float:
    """Processor time of this process and of those that it started and that have ended."""
    before = sum(os.times()[:4])
    work()
    return sum(os.times()[:4]) - before


def rates(template: ChatTemplate, count: int, processes: list[int], rounds: int, folder: Path) -> dict[str, float]:
    """Print rows a second of processor time, and of the clock, of both sides for each number of processes."""
    file = written(folder / "rows.jsonl", dialogues(count))
    print(f"the tokenizer alone, one core: {count / floor(template, file):.0f} rows/s of processor time\n")
    print("| processes | ours | map | ratio (all rounds) | ours, by the clock | map | ratio |\n|---|" + "---:|" * 6)
    found: dict[str, float] = {}
    for number in processes:
        ours, other = (
            functools.partial(prepared, file, template, number, max_tokens=4096),
            mapped(file, template, number, folder),
        )
        times = [(*timed(ours), *timed(other)) for _ in range(rounds)]
        ours_cpu, ours_clock, map_cpu, map_clock = (count / statistics.median(column) for column in zip(*times))
        ratios = [line[2] / line[0] for line in times]
        by_clock = statistics.median(line[3] / line[1] for line in times)
        print(
            f"| {number} | {ours_cpu:.0f} | {map_cpu:.0f} | {statistics.median(ratios):.2f} "
            f"({', '.join(f'{ratio:.2f}' for ratio in ratios)}) | {ours_clock:.0f} | {map_clock:.0f} | {by_clock:.2f} |",
            flush=True,
        )
        found |= {"rows_per_second": ours_cpu, "map_rows_per_second": map_cpu, "ratio": statistics.median(ratios)}
    return found


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of processor time and of the clock."""
    start = time.perf_counter()
    spent = processor_seconds(work)
    return spent, time.perf_counter() - start


def floor(template: ChatTemplate, file: Path) -> float:
    """Processor time of the tokenizer on the texts of all rows, which are rendered already."""
    with file.open(encoding="utf-8") as lines:
        texts = [template.tokenizer.apply_chat_template(json.loads(line)["messages"], tokenize=False) for line in lines]
    backend = template.tokenizer.backend_tokenizer
    return processor_seconds(lambda: [one.ids for one in backend.encode_batch_fast(texts, add_special_tokens=False)])


def mapped(file: Path, template: ChatTemplate, processes: int, folder: Path) -> Callable[[], Any]:
    """datasets.map over the rows, one call a row, each with the template and tokenizer of transformers."""
    import datasets

    datasets.disable_progress_bars()
    tokenizer = template.tokenizer

    def tokenize(row: dict[str, Any]) -> dict[str, Any]:
        return {
            "input_ids": tokenizer.apply_chat_template(row["messages"], tokenize=True, return_dict=True)["input_ids"]
        }

    rows = datasets.load_dataset("json", data_files=str(file), split="train", cache_dir=str(folder / "cache"))
    return lambda: rows.map(tokenize, num_proc=processes, load_from_cache_file=False)


def memory(counts: list[int], folder: Path) -> dict[str, float]:
    """Print the most memory that a fresh process takes for so many rows, in MiB; gives bytes a row between the last two."""
    taken = []
    for count in counts:
        chance = random.Random(7)
        file = written(folder / "short.jsonl", (turns(2, chance) for _ in range(count)))
        command = [sys.executable, __file__, "--only", "one", "--file", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        taken.append(float(re.findall(r"peak_mib=([0-9.]+)", done.stdout)[0]))
        print(f"{count} rows: {taken[-1]:.0f} MiB", flush=True)
    grown = (taken[-1] - taken[-2]) * 2**20 / (counts[-1] - counts[-2]) if len(counts) > 1 else math.nan
    return {"bytes_per_row": grown}


def peak_mib() -> float:
    """The most memory of this process so far."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def main() -> None:
    """Run the parts asked for; the last line is for run.py."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", default="10,100,1000,10000")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--processes", default="1,2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", default="20000,100000,500000")
    parser.add_argument("--only", default="slope,rows")
    parser.add_argument("--file", type=Path, help="with --only one: the rows that a fresh process prepares")
    words = parser.parse_args()
    template = ChatTemplate.load(load_tokenizer(locate(MODEL).folder))
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        if "slope" in words.only:
            found |= slopes(template, [int(n) for n in words.turns.split(",")], Path(folder))
        if "rows" in words.only:
            found |= rates(
                template, words.rows, [int(n) for n in words.processes.split(",")], words.rounds, Path(folder)
            )
        if "memory" in words.only:
            found |= memory([int(n) for n in words.memory.split(",")], Path(folder))
        if words.only == "one":
            prepared(words.file, template, 1)
            found["peak_mib"] = peak_mib()
    print(" ".join(f"{name}={value:.2f}" for name, value in found.items()))


if __name__ == "__main__":
    main()
