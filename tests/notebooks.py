"""Runs the notebooks and stores what they showed: `make notebooks`, or `python -m tests.notebooks [NAME…]` for some of them.

Each runs from top to bottom on its true settings, in a folder of its own that holds what `medicalgpt examples copy` makes, and
its outputs are stored in it as plain text, tables and pictures. The metadata keep the hash of the code that made them: a test
fails where a code cell was changed and not run again.
"""

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("configs", "examples")
HIDDEN = ("\x1b", "\r", "\b")  # a terminal's orders, in place of words
_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_TRAINED = "color: #008000"  # the green of trained tokens
_KEPT = ("text/html", "text/markdown", "image/png")  # what a cell shows on purpose; text/plain only where it is alone


def notebooks() -> list[Path]:
    """Every notebook of the project."""
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def sources(book: Any) -> str:
    """The hash of all code of a notebook, cell by cell."""
    code = [[cell.id, cell.source] for cell in book.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(code, ensure_ascii=False).encode()).hexdigest()


def execute(book: Any, place: Path, timeout: int = 3600) -> None:
    """Run a notebook in a folder with the samples, as a reader who copied them would. Raises nbclient's CellExecutionError."""
    for folder in NEEDED:
        shutil.copytree(ROOT / folder, place / folder)
    where = {"metadata": {"path": str(place)}}
    NotebookClient(book, timeout=timeout, kernel_name="python3", resources=where, record_timing=False).execute()


def cleaned(outputs: Sequence[Any], place: Path) -> list[Any]:
    """Outputs as they are stored: lines joined and without a terminal's orders, the place they were made in left out."""
    kept: list[Any] = []
    for output in outputs:
        output = nbformat.from_dict(json.loads(json.dumps(output).replace(json.dumps(str(place))[1:-1], ".")))
        data = output.get("data", {})
        if _of_rich(data):
            output = nbformat.v4.new_output("stream", name="stdout", text=data["text/plain"])
        if output.output_type != "stream":
            output.metadata = nbformat.from_dict({})
            output.data = nbformat.from_dict({kind: data[kind] for kind in _KEPT if kind in data} or dict(data))
            kept.append(output)
        elif kept and kept[-1].output_type == "stream" and kept[-1].name == output.name:
            kept[-1].text += output.text
        else:
            kept.append(output)
    for output in kept:
        if output.output_type == "stream":
            output.text = _shown(output.text)
    return [output for output in kept if output.get("text", "-")]


def _of_rich(data: Any) -> bool:
    """Whether an output is lines of rich, whose HTML is ten times their text, and no colors in it mean anything."""
    html = data.get("text/html", "")
    return "font-family:Menlo" in html and _TRAINED not in html


def _shown(text: str) -> str:
    """What a terminal would show in the end: a line that was written over is its last version."""
    lines = _TERMINAL.sub("", text).split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


def renew(path: Path) -> float:
    """Run a notebook, store its outputs and what made them; the minutes that it took."""
    from medicalgpt import __version__

    book = nbformat.read(path, as_version=4)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder).resolve() / "medicalgpt"
        execute(book, place)
        minutes = (time.monotonic() - began) / 60
        for cell in book.cells:
            if cell.cell_type == "code":
                cell.outputs = cleaned(cell.outputs, place)
            cell.metadata.pop("execution", None)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    book.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "medicalgpt": {
                "sources": sources(book),
                "version": __version__,
                "minutes": round(minutes, 1),
                "cores": cores,
            },
        }
    )
    nbformat.write(book, path)
    return minutes


def main(words: Sequence[str]) -> int:
    """Renew the notebooks whose names hold one of the words, or all of them."""
    for path in notebooks():
        if not words or any(word in path.stem for word in words):
            print(f"{path.name} …", flush=True)
            minutes = renew(path)
            print(f"{path.name}: {minutes:.1f} minutes, {path.stat().st_size:,} bytes", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
