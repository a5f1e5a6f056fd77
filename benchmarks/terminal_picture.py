"""A command's output in a terminal, as an SVG: colors kept, progress bars as they stood last, no font or script from elsewhere."""

import io
import os
import pty
import re
import select
import subprocess
from pathlib import Path

COLUMNS = 104
_PIECES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+")
# Rich's form asks a CDN for its font; a page of ours asks no other host for anything.
_FONT_FACES = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)


def record(command: list[str], folder: Path) -> list[str]:
    """Runs the command on a terminal of its own and returns its lines, with their colors. Ends where the command fails."""
    ours, theirs = pty.openpty()
    surroundings = {**os.environ, "COLUMNS": str(COLUMNS), "LINES": "50", "TERM": "xterm-256color"}
    parts = []
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, cwd=folder, env=surroundings) as running:
        os.close(theirs)
        while running.poll() is None or select.select([ours], [], [], 0)[0]:
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    parts.append(os.read(ours, 65536))
                except OSError:  # Linux tells the end so
                    break
    os.close(ours)
    text = b"".join(parts).decode()
    if running.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {running.returncode}: {text[-500:]}")
    return screen(text)


def screen(text: str) -> list[str]:
    """The lines that remain: a line that is cleared and written anew, as progress bars are, counts as it was written last."""
    lines, row = [""], 0
    for piece in _PIECES.findall(text):
        if piece == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif piece.endswith("K") and piece.startswith("\x1b["):
            lines[row] = ""
        elif piece.endswith("A") and piece.startswith("\x1b["):
            row = max(0, row - int(piece[2:-1] or 1))
        elif piece != "\r" and not re.fullmatch(r"\x1b\[\?\d+[hl]", piece):
            lines[row] += piece
    return lines


def svg(lines: list[str]) -> str:
    """The lines as a window; those that are longer than the terminal are wrapped."""
    from rich._export_format import CONSOLE_SVG_FORMAT
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(Text.from_ansi(line))
    form = _FONT_FACES.sub("", CONSOLE_SVG_FORMAT).replace(
        "Fira Code, monospace", "ui-monospace, DejaVu Sans Mono, monospace"
    )
    return console.export_svg(title="medicalgpt", code_format=form, unique_id="terminal")
