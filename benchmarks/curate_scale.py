"""What a curation costs by the number of documents: memory, time of each step and bytes; and what that makes of 10^7 and 10^9.

    python benchmarks/curate_scale.py --documents 10000 100000 --folder /scratch --json scale.json

Documents are made up in the process (Chinese, about 300 characters, 1 % repeated, 2 % repeated with edits). Each size is curated by a
process of its own, which does all steps itself, so that its peak of memory is that of a worker and of the first process at once.
Personal data is looked for with patterns and names of lists, without the model of names (--no-personal-data: not at all, which is
most of the time and none of the memory), and no test is searched for.
"""

import argparse
import json
import math
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from medicalgpt.config.curation import CurateConfig
from medicalgpt.config.loader import load
from medicalgpt.curation.local import LocalExecutor
from medicalgpt.curation.stage import curate

ROWS_A_FILE = 20_000
WORDS = 4_000
PARTITION = 250_000
FIRST = 100
_HAN = [chr(code) for code in range(0x4E00, 0x5E00)]


def documents(count: int) -> Iterator[str]:
    """Texts as they come in consultations, each of its own words but for the repeated ones."""
    rng = random.Random(7)
    words = ["".join(rng.choices(_HAN, k=rng.choice((1, 2, 2, 3, 4)))) for _ in range(WORDS)]
    before: list[str] = []
    for number in range(count):
        drawn = rng.random()
        if before and drawn < 0.03:
            text = rng.choice(before)
            yield text if drawn < 0.01 else edited(text, rng)
            continue
        text = "".join(f"{''.join(rng.choices(words, k=rng.randint(4, 9)))}{rng.choice('，，。；')}" for _ in range(21))
        text = f"{text}第{number}例，{rng.randint(1, 28)}日复诊。"
        if len(before) < 1000:
            before.append(text)
        yield text


def edited(text: str, rng: random.Random) -> str:
    """One character in 50 is another one."""
    return "".join(rng.choice(_HAN) if rng.random() < 0.02 else char for char in text)


def write(folder: Path, count: int) -> int:
    """Files of ROWS_A_FILE documents. Returns their characters."""
    folder.mkdir(parents=True)
    characters, file = 0, None
    for number, text in enumerate(documents(count)):
        if number % ROWS_A_FILE == 0:
            if file is not None:
                file.close()
            file = (folder / f"{number // ROWS_A_FILE:06d}.jsonl").open("w", encoding="utf-8")
        assert file is not None
        file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
        characters += len(text)
    if file is not None:
        file.close()
    return characters


class Timed(LocalExecutor):
    """Notes the processor time of each step, and what the work folder holds."""

    def __init__(self) -> None:
        super().__init__(1)
        self.seconds: dict[str, float] = {}
        self.tasks: dict[str, int] = {}
        self.work_bytes = 0

    def run(self, folder: Path, step: str, count: int) -> None:
        """Do the tasks of a step."""
        began = time.process_time()
        super().run(folder, step, count)
        self.seconds[step] = time.process_time() - began
        self.tasks[step] = count
        self.work_bytes = max(self.work_bytes, size(folder))


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def child(folder: Path, personal: bool) -> None:
    """Curate what lies in `raw` and print what it took, as JSON."""
    given = {
        "sources": {"all": {"paths": [str(folder / "raw")]}},
        "output_dir": str(folder / "corpus"),
        "personal_data.detectors": ["patterns", "names"],
        "personal_data.enabled": personal,
    }
    config = load(CurateConfig, None, [f"{key}={json.dumps(value)}" for key, value in given.items()])
    executor = Timed()
    before, began = peak(), time.process_time()
    curate(config, executor=executor)
    whole = time.process_time() - began
    report = json.loads((folder / "corpus" / "curation.json").read_text(encoding="utf-8"))
    print(
        json.dumps(
            {
                "seconds": whole,
                "steps": executor.seconds,
                "tasks": executor.tasks,
                "peak": peak(),
                "idle": before,
                "work_bytes": executor.work_bytes,
                "corpus_bytes": size(folder / "corpus" / "train"),
                "kept": report["kept"],
                "reasons": report["reasons"],
            }
        )
    )


def peak() -> int:
    """The most memory that this process took, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure(count: int, folder: Path, personal: bool) -> dict[str, object]:
    """Make documents, curate them in a process of their own, and say what that took."""
    place = folder / f"scale-{count}"
    shutil.rmtree(place, ignore_errors=True)
    characters = write(place / "raw", count)
    raw = size(place / "raw")
    command = [sys.executable, __file__, "--child", str(place), *([] if personal else ["--no-personal-data"])]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    shutil.rmtree(place)
    return {"documents": count, "personal": personal, "characters": characters, "raw_bytes": raw, **told}


def number(found: Mapping[str, object], name: str) -> float:
    """A number of a run."""
    return float(str(found[name]))


def mapped(found: Mapping[str, object]) -> float:
    """Seconds that the first pass over the rows took."""
    steps = found["steps"]
    assert isinstance(steps, dict)
    return float(steps["map"])


def table(found: Sequence[Mapping[str, object]]) -> Iterator[str]:
    """What was measured, as Markdown."""
    yield "| documents | personal data | characters | CPU s | of these map | characters/s | peak memory | work space | kept |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for one in found:
        characters, seconds = number(one, "characters"), number(one, "seconds")
        looked = "patterns, names" if one["personal"] else "not looked for"
        yield (
            f"| {number(one, 'documents'):,.0f} | {looked} | {characters / 1e6:.1f} M | {seconds:,.0f} | {mapped(one):,.0f} | "
            f"{characters / seconds:,.0f} | {number(one, 'peak') / 2**20:,.0f} MiB | {number(one, 'work_bytes') / 1e6:,.0f} MB | "
            f"{number(one, 'kept'):,.0f} |"
        )


def projected(found: Sequence[Mapping[str, object]], counts: Sequence[int], hours: float) -> Iterator[str]:
    """What more documents will take: constants of the largest run.

    Seconds of the first pass are those of the largest run that looked for personal data, where there is one. A worker holds a shard
    or a partition, which grow no more beyond PARTITION documents; the first process holds FIRST bytes a document, which is
    counted, not measured: places, sizes, hashes and marks of every row.
    """
    before, last = sorted(found, key=lambda one: number(one, "documents"))[-2:]
    size = number(last, "documents")
    looked = [one for one in found if one["personal"]] or [last]
    first_pass = max((number(one, "documents"), mapped(one) / number(one, "documents")) for one in looked)[1]
    rest = (number(last, "seconds") - mapped(last)) / size
    grown = (number(last, "peak") - number(before, "peak")) / (size - number(before, "documents"))
    yield f"| documents | raw text | work space | core hours | workers for {hours:g} h | memory of a worker | of the first process |"
    yield "|---|---|---|---|---|---|---|"
    for count in counts:
        core = count * (first_pass + rest) / 3600
        worker = number(last, "peak") + grown * max(0.0, min(count, PARTITION) - size)
        yield (
            f"| {count:,} | {count * number(last, 'raw_bytes') / size / 1e9:,.0f} GB | "
            f"{count * number(last, 'work_bytes') / size / 1e9:,.0f} GB | {core:,.1f} | {max(1, math.ceil(core / hours)):,} | "
            f"{worker / 2**30:.1f} GiB | {(number(last, 'idle') + FIRST * count) / 2**30:,.1f} GiB |"
        )


def main() -> None:
    """Measure the sizes asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--beside", type=Path, nargs="*", default=[], help="files of --json whose runs are told, too")
    parser.add_argument("--folder", type=Path, default=Path("."))
    parser.add_argument("--project", type=float, nargs="+", default=[1e6, 1e7, 1e9])
    parser.add_argument("--hours", type=float, default=8, help="in how much time it is to be done")
    parser.add_argument("--json", type=Path, help="file that gets every number")
    parser.add_argument("--no-personal-data", action="store_true")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child is not None:
        child(args.child, not args.no_personal_data)
        return
    found: list[Mapping[str, object]] = []
    for count in args.documents:
        found.append(measure(count, args.folder, not args.no_personal_data))
        print(json.dumps(found[-1]), file=sys.stderr, flush=True)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    for file in args.beside:
        found += json.loads(file.read_text(encoding="utf-8"))
    print("\n".join(table(found)))
    if len(found) > 1:
        print()
        print("\n".join(projected(found, [int(count) for count in args.project], args.hours)))


if __name__ == "__main__":
    main()
