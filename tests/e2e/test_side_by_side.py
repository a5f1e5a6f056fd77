"""Our half of the benchmarks against other trainers still runs: a tiny model, a few rows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.stages import child
from tests.tiny import save_tiny

ROOT = Path(__file__).parents[2]
ROWS = """
def qa_rows(tokenizer, n, max_tokens):
    return [{"input_ids": list(range(5, 45)), "prompt_len": 20} for _ in range(n)]

def pair_rows(tokenizer, n, max_tokens):
    one = {"prompt_ids": list(range(5, 25)), "chosen_ids": list(range(30, 40)), "rejected_ids": list(range(50, 60))}
    return [one] * n
"""


@pytest.mark.slow
@pytest.mark.parametrize("words", ["sft", "sft --full", "dpo", "dpo --cached", "rm", "orpo"])
def test_ours_runs(words: str, tmp_path: Path) -> None:
    (tmp_path / "rows.py").write_text(ROWS, encoding="utf-8")
    model = save_tiny(tmp_path / "model")
    what, *more = words.split()
    command = [str(ROOT / "benchmarks/ours.py"), what, str(model), "--rows", str(tmp_path), "-n", "6", *more]
    done = subprocess.run(
        [sys.executable, *command, "--row-tokens", "80"], env=child(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert float(re.findall(r"tokens_per_second=([0-9.]+)", done.stdout)[0]) > 0
