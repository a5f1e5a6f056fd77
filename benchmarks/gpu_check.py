"""What only a GPU can prove, in one command and under eight minutes on one card, without a download.

    python benchmarks/gpu_check.py --out FOLDER           every section, the most important first
    python benchmarks/gpu_check.py --only attention,step  some of them
    python benchmarks/gpu_check.py --smoke                all of them, tiny, on any machine: that they run at all

Each section is a process with a time limit: one that dies or hangs takes nothing with it. It states facts, which land in
FOLDER/gpu_check.json and in a table, and fails by an assertion. Models are random and built in place, the tokenizer is that
of the tests. A bare machine needs this folder, src/, tests/ and the packages of `pip install .`, nothing else.
Exit status: 0 where every section that ran held, 1 where one failed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SECTIONS = {
    "hardware": ("kernels", 20),
    "attention": ("kernels", 80),
    "step": ("training", 70),
    "devices": ("training", 70),
    "shapes": ("kernels", 40),
    "mask": ("kernels", 15),
    "memory": ("measured", 50),
    "speed": ("measured", 60),
    "shard": ("sharded", 45),
    "resume": ("training", 30),
    "generate": ("answers", 35),
    "chains": ("kernels", 20),
    "vllm": ("answers", 60),
}
"""Module and seconds of each section, in the order of what matters when time runs out."""
LEAST = 5
"""Seconds under which no section is begun."""


def run_section(name: str, smoke: bool) -> None:
    """One section in this process; its facts go to the file named in GPU_CHECK_FACTS, also those before a failure."""
    import importlib

    sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "src")]
    facts = importlib.import_module("gpu.facts")
    try:
        getattr(importlib.import_module(f"gpu.{SECTIONS[name][0]}"), name)(smoke)
    finally:
        Path(os.environ["GPU_CHECK_FACTS"]).write_text(json.dumps(facts.FACTS), encoding="utf-8")


def watched(name: str, smoke: bool, seconds: float, folder: Path) -> dict[str, Any]:
    """Run one section in a process of its own; how it ended, how long it took and its facts."""
    facts, log = folder / f"{name}.json", folder / f"{name}.log"
    facts.unlink(missing_ok=True)
    command = [sys.executable, str(HERE / "gpu_check.py"), "--section", name, *(["--smoke"] if smoke else [])]
    begun = time.monotonic()
    with log.open("w", encoding="utf-8") as out:
        try:
            done = subprocess.run(
                command,
                timeout=seconds,
                env={**os.environ, "GPU_CHECK_FACTS": str(facts)},
                stdout=out,
                stderr=subprocess.STDOUT,
                check=False,
            )
            status = "ok" if done.returncode == 0 else "FAILED"
        except subprocess.TimeoutExpired:
            status = f"cut off after {seconds:.0f} s"
    found = json.loads(facts.read_text(encoding="utf-8")) if facts.exists() else {}
    failed = [fact for fact in found.values() if isinstance(fact, str) and fact.startswith("FAILED")]
    if status == "ok" and failed:
        status = "FAILED"
    text = log.read_text(encoding="utf-8", errors="replace")
    last = {} if status == "ok" else {"end of its log": text[-1500:]}
    return {"status": status, "seconds": round(time.monotonic() - begun, 1), "facts": found} | last


def table(found: dict[str, dict[str, Any]]) -> str:
    """A Markdown table of every fact."""
    lines = ["| section | fact | value |", "|---|---|---|"]
    for name, section in found.items():
        lines.append(f"| **{name}** | {section['status']} | {section.get('seconds', 0)} s |")
        lines += [f"| | {fact} | {value} |" for fact, value in section.get("facts", {}).items()]
    return "\n".join(lines)


def main() -> int:
    """Run the sections asked for, as far as the time reaches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, comma-separated")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, also without a GPU")
    parser.add_argument("--seconds", type=int, default=470, help="for all sections together")
    parser.add_argument("--out", type=Path, help="folder of gpu_check.json, gpu_check.md and the logs")
    parser.add_argument("--section", choices=SECTIONS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.section:
        run_section(given.section, given.smoke)
        return 0
    if unknown := set(given.only.split(",")) - SECTIONS.keys():
        parser.error(f"unknown sections {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    folder = given.out or Path(tempfile.mkdtemp(prefix="gpu-check-"))
    folder.mkdir(parents=True, exist_ok=True)
    end, found = time.monotonic() + given.seconds, {}
    for name in [name for name in SECTIONS if name in given.only.split(",")]:
        # The smoke's sizes are small, but a process that imports torch on a busy CPU is not fast.
        limit = min(600.0 if given.smoke else SECTIONS[name][1], end - time.monotonic())
        if limit < LEAST:
            found[name] = {"status": "no time left"}
            continue
        found[name] = watched(name, given.smoke, limit, folder)
        print(f"{name:10} {found[name]['status']:10} {found[name]['seconds']} s", flush=True)
        (folder / "gpu_check.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (folder / "gpu_check.md").write_text(table(found) + "\n", encoding="utf-8")
    print(table(found), f"\n\nwritten: {folder}/gpu_check.json, gpu_check.md and a log of each section")
    return int(any(section["status"] not in ("ok", "no time left") for section in found.values()))


if __name__ == "__main__":
    sys.exit(main())
