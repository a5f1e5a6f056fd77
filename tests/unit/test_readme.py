"""What README and docs say of hardware: the table is what the command prints, and nobody is promised a GPU that nobody had."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medicalgpt.cli import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("README*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
NO_GPU_YET = re.compile(r"no GPU has run|還沒有在 GPU 上執行過", re.IGNORECASE)


@pytest.fixture(scope="module")
def table() -> str:
    done = CliRunner().invoke(app, ["estimate", "--table"])
    assert done.exit_code == 0
    return done.output.strip()


@pytest.mark.parametrize("name", ["README.md", "README.zh-TW.md"])
def test_the_hardware_table_is_what_the_command_prints(name: str, table: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    (shown,) = re.findall(r"<!-- hardware -->\n(.*?)\n<!-- /hardware -->", text, re.DOTALL)
    assert shown == table


def test_what_no_gpu_of_80_gb_holds_is_marked(table: str) -> None:
    cells = re.findall(r"(\d+) GB( †)? \|", table)
    assert len(cells) == 44
    assert all((int(size) > 80) == bool(mark) for size, mark in cells)
    assert "needs a larger one, or more that divide the model" in table.splitlines()[-1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_that_speaks_of_gpus_says_that_none_has_run_this_yet(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if re.search(r"\bGPUs?\b", text):
        assert NO_GPU_YET.search(text), f"{page}: until a number says otherwise"
