"""`--help` answers at once: nothing heavy is imported for it."""

import subprocess
import sys

import pytest

COMMANDS = [
    "",
    "train",
    "chat",
    "generate",
    "estimate",
    "pipeline run",
    "data inspect",
    "models pull",
    "config explain",
]
PROBE = """
import sys
from typer.testing import CliRunner
from medicalgpt.cli import app
for words in sys.argv[1:]:
    done = CliRunner().invoke(app, [*words.split(), "--help"])
    assert done.exit_code == 0, (words, done.output)
heavy = {"torch", "transformers", "pyarrow", "pandas", "peft", "numpy"} & set(sys.modules)
assert not heavy, heavy
"""


def test_help_of_every_command_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE, *COMMANDS], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("words", [["no-such-command"], ["train", "sfx"]])
def test_unknown_words_end_with_2(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "medicalgpt", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
