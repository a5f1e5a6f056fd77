"""What README and docs say of hardware: the table is what the command prints, and nobody is promised a GPU that nobody had."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.evaluation.catalog import find_tests
from medicalgpt.evaluation.items import read_items
from medicalgpt.language import choose
from medicalgpt.language.catalogue import is_prose

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("README*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
NO_GPU_YET = re.compile(r"no GPU has run|還沒有在 GPU 上執行過|还没有在 GPU 上运行过", re.IGNORECASE)


READMES = {"README.md": "en", "README.zh-CN.md": "zh-CN", "README.zh-TW.md": "zh-TW"}


def _marked(name: str, mark: str) -> str:
    (shown,) = re.findall(rf"<!-- {mark} -->\n(.*?)\n<!-- /{mark} -->", (ROOT / name).read_text("utf-8"), re.DOTALL)
    return str(shown)


def _printed(language: str) -> str:
    try:
        done = CliRunner().invoke(app, ["--lang", language, "estimate", "--table"])
    finally:
        choose(None)
    assert done.exit_code == 0
    return done.output.strip()


@pytest.fixture(scope="module")
def table() -> str:
    return _printed("en")


@pytest.mark.parametrize("name", READMES)
def test_the_hardware_table_is_what_the_command_prints_in_the_page_s_language(name: str) -> None:
    assert _marked(name, "hardware") == _printed(READMES[name])


@pytest.mark.parametrize("mark", ["bench", "hardware"])
@pytest.mark.parametrize("name", list(READMES)[1:])
def test_a_translated_table_has_the_numbers_of_the_english_one_and_none_of_its_words(name: str, mark: str) -> None:
    (ours,), (theirs,) = _tables(_marked("README.md", mark)), _tables(_marked(name, mark))
    assert [row[1:] for row in theirs] == [row[1:] for row in ours]
    numbers = re.compile(r"\d[\d.,]*\b")
    assert [numbers.findall(row[0]) for row in theirs] == [numbers.findall(row[0]) for row in ours]
    english = [row[0] for row in theirs if is_prose(row[0])]
    assert english == []


def test_what_no_gpu_of_80_gb_holds_is_marked(table: str) -> None:
    cells = re.findall(r"(\d+) GB( †)? \|", table)
    assert len(cells) == 44
    assert all((int(size) > 80) == bool(mark) for size, mark in cells)
    assert "needs a larger one, or more that divide the model" in table.splitlines()[-1]


def _facts(page: Path) -> tuple[list[str], list[str], set[str]]:
    """What a translation must not change: commands, keys that gates and tests are made of, and whatever stands in code."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)
    commands = [re.sub(r"\s*#.*", "", line) for kind, body in blocks if kind == "bash" for line in body.splitlines()]
    numbers = re.findall(r"number: \w+.*?\}|\d+\.\d+ %|\d{1,3},\d{3}", text)
    code = set(re.findall(r"`(-{0,2}[a-z][\w.-]*)`", text))
    return commands, sorted(numbers), code


def test_the_evaluation_page_says_the_same_in_chinese() -> None:
    english, chinese = ROOT / "docs/evaluation.md", ROOT / "docs/zh-TW/evaluation.md"
    ours, theirs = english.read_text(encoding="utf-8"), chinese.read_text(encoding="utf-8")
    # The English page has an example in 简体 beside its own; the Chinese one has its example in place of the English.
    assert ours.count("\n## ") == theirs.count("\n## ")
    assert ours.count("\n### ") == theirs.count("\n### ") + 1
    assert ours.count("\n|---") == theirs.count("\n|---")
    (commands, numbers, code), (same, counted, named) = _facts(english), _facts(chinese)
    assert [c for c in same if "--suite hospital" not in c] == commands
    assert counted == numbers
    missing = sorted(code - named - {"xinneike", "ward"})
    assert not missing, f"{chinese} does not name {', '.join(missing)}"
    assert not set(theirs) & set("设测试题组数据选项这个为与没")


def test_the_scaling_page_says_the_same_in_chinese() -> None:
    english, chinese = ROOT / "docs/scaling.md", ROOT / "docs/zh-CN/scaling.md"
    ours, theirs = english.read_text(encoding="utf-8"), chinese.read_text(encoding="utf-8")
    for mark in ("\n## ", "\n### ", "\n| ", "\n- "):
        assert ours.count(mark) == theirs.count(mark), mark
    (commands, numbers, code), (same, counted, named) = _facts(english), _facts(chinese)
    assert same == commands
    assert counted == numbers
    missing = sorted(code - named)
    assert not missing, f"{chinese} does not name {', '.join(missing)}"
    assert not set(theirs) & set("設測試題組數據選項這個為與沒進權")


@pytest.mark.parametrize("language", ["en", "zh", "zh-TW"])
def test_the_page_s_test_of_a_hospital_runs(language: str, tmp_path: Path) -> None:
    """The files of the example as they stand there are a test, with the row's subject and its right answer."""
    page = ROOT / ("docs/zh-TW/evaluation.md" if language == "zh-TW" else "docs/evaluation.md")
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"```yaml\n# ([\w.]+\.test\.yaml)\n(.*?)```\n\n```csv\n(.*?)```", text, re.DOTALL)
    name, yaml, rows = found[0 if language != "zh" else 1]
    (tmp_path / name).write_text(yaml, encoding="utf-8")
    (file,) = re.findall(r"files: \[\{path: (\S+?)\}", yaml)
    (tmp_path / file).write_text(rows, encoding="utf-8")
    (test,) = find_tests(["hospital"], tmp_path)
    (item,) = read_items(test.config, test.files)
    assert (item.gold, len(item.options)) == ((0,), 4)
    assert item.subject in ("acute", "急诊", "急診")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_that_speaks_of_gpus_says_that_none_has_run_this_yet(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if re.search(r"\bGPUs?\b", text):
        assert NO_GPU_YET.search(text), f"{page}: until a number says otherwise"


def _tables(text: str) -> list[list[list[str]]]:
    """Rows of cells below the head of every table, code blocks left out."""
    text = re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.MULTILINE | re.DOTALL)
    tables = re.findall(r"(?:^\|.*\n)+", text + "\n", re.MULTILINE)
    return [[re.split(r"(?<!\\)\|", row)[1:-1] for row in table.splitlines()[2:]] for table in tables]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_table_has_a_column_that_says_the_same_in_every_row(page: Path) -> None:
    for rows in _tables(page.read_text(encoding="utf-8")):
        columns = [{cell.strip() for cell in column} for column in zip(*rows)]
        assert rows, f"{page}: a table without rows, or torn by an empty line"
        assert len(rows) == 1 or all(len(column) > 1 for column in columns), f"{page}: {rows[0]}"
