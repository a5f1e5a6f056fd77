"""The pictures of README and docs: there, small, asking no other host for anything, with the numbers of docs/results.md."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
READMES = ("README.md", "README.zh-CN.md", "README.zh-TW.md")
sys.path.insert(0, str(ROOT / "benchmarks"))
import browser_pictures as browser  # noqa: E402
import explained_pictures as explained  # noqa: E402
import pictures  # noqa: E402
from terminal_picture import screen, svg  # noqa: E402


def _images(page: str) -> set[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return {*re.findall(r"!\[[^\]]+\]\((\S+)\)", text), *re.findall(r'<img src="(\S+)"', text)}


@pytest.mark.parametrize("name", pictures.FILES)
def test_a_picture_is_there_and_small(name: str) -> None:
    assert 200 < (IMAGES / name).stat().st_size < pictures.MOST_BYTES


@pytest.mark.parametrize("page", READMES)
def test_a_readme_shows_all_pictures_that_the_command_makes(page: str) -> None:
    assert _images(page) == {f"docs/images/{name}" for name in pictures.OF_README}


@pytest.mark.parametrize(
    ("page", "images"), [("docs/explained.md", "images"), ("docs/zh-CN/explained.md", "../images")]
)
def test_the_explanations_show_their_pictures(page: str, images: str) -> None:
    assert _images(page) == {f"{images}/{name}" for name in pictures.OF_EXPLAINED}


def test_a_branch_sees_the_prompt_and_not_the_other_branch() -> None:
    words, seen = explained.packed()
    place = {word: words.index(word) for word in ("What", "fever", "More", "38", "cold", "Hello", "help")}

    def sees(one: str, other: str) -> int:
        return seen[place[one]][place[other]]

    assert [sees("38", "What"), sees("38", "More"), sees("cold", "fever"), sees("help", "Hello")] == [1, 1, 1, 1]
    assert [sees("cold", "38"), sees("More", "38"), sees("help", "fever"), sees("What", "Hello")] == [0, 0, 0, 0]


def test_the_gates_that_are_drawn_are_those_of_the_results() -> None:
    found = explained.verdicts((ROOT / "docs/results.md").read_text(encoding="utf-8"))
    assert [(word, low) for word, _, _, low, _ in found] == [
        ("INCONCLUSIVE", -4.1), ("BLOCK", -26.0), ("PASS", -1.9), ("PASS", 4.1)
    ]  # fmt: skip
    drawn = (IMAGES / "gates.svg").read_text(encoding="utf-8")
    assert all(f"[{low:+.1f}, {high:+.1f}]" in drawn for *_, low, high in found)


def test_the_note_is_masked_and_the_disease_stays() -> None:
    shown = (IMAGES / "personal-data.svg").read_text(encoding="utf-8").replace("&#160;", " ").replace("&#x27;", "'")
    assert "[NAME1]" in shown
    assert shown.count("Parkinson's disease; levodopa 100 mg") == 2


def test_no_picture_is_left_that_nothing_makes() -> None:
    assert {file.name for file in IMAGES.iterdir()} == set(pictures.FILES)


@pytest.mark.parametrize("name", [name for name in pictures.FILES if name.endswith(".svg")])
def test_a_drawn_picture_asks_no_other_host_for_anything(name: str) -> None:
    text = (IMAGES / name).read_text(encoding="utf-8")
    text = re.sub(
        r'xmlns(:\w+)?="[^"]+"|<!DOCTYPE[^>]*>|<metadata>.*?</metadata>|<!--.*?-->', "", text, flags=re.DOTALL
    )
    assert re.findall(r"https?://|@import|<script|url\((?!#)", text) == []


def test_the_plot_shows_every_number_of_the_table() -> None:
    table = pictures.results_table((ROOT / "docs/results.md").read_text(encoding="utf-8"))
    assert list(table) == list(pictures.ROWS)
    assert table["document perplexity"][0] == (9.91, 8.59, 11.37)
    assert {len(cells) for cells in table.values()} == {len(pictures.STAGES)}
    assert all(low <= value <= high for cells in table.values() for value, low, high in cells)
    drawn = re.findall(r">([^<>\n]+)</text>", (IMAGES / "results.svg").read_text(encoding="utf-8"))
    for name, cells in table.items():
        assert name in drawn
        assert {f"{value:g} %" if name in pictures.SHARES else f"{value:g}" for value, _, _ in cells} <= set(drawn)


def test_the_badges_are_what_pyproject_says_today(tmp_path: Path) -> None:
    pictures.badges(tmp_path, tmp_path)
    made = {file.name: file.read_text(encoding="utf-8") for file in tmp_path.iterdir()}
    assert made == {name: (IMAGES / name).read_text(encoding="utf-8") for name in pictures.FILES if "badge" in name}
    texts = pictures.badge_texts((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert texts["license"] == ("license", "Apache-2.0")
    assert "3.11" in texts["python"][1]


def test_what_the_pictures_are_taken_of_exists() -> None:
    assert (ROOT / "configs" / "sft.yaml").is_file()
    page = (ROOT / "src/medicalgpt/serve/web/page_parts.py").read_text(encoding="utf-8")
    assert all(f'elem_id="{name}"' in page for name in ("ask", "stop", "status"))
    assert browser.QUESTION in (ROOT / "configs/pipelines/dpo.yaml").read_text(encoding="utf-8")
    assert "Ctrl-C ends it" in (ROOT / "src/medicalgpt/serve/web/launch.py").read_text(encoding="utf-8")


def test_the_terminal_shows_a_training_from_its_command_to_its_numbers() -> None:
    text = (IMAGES / "terminal.svg").read_text(encoding="utf-8").replace("&#160;", " ")
    for words in ("medicalgpt train sft --config configs/sft.yaml", "preflight", "eval/loss", "runs/sft"):
        assert words in text


@pytest.mark.parametrize("page", READMES)
def test_the_numbers_of_the_first_screen_stand_in_the_results(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    (table,) = [t for t in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE) if "MedQuAD" in t]
    results = (ROOT / "docs/results.md").read_text(encoding="utf-8").replace(" %", "%")
    shown = re.findall(r"\d+\.\d+%?(?: \[[^\]]+\])?", table.replace(" %", "%"))
    assert len(shown) == 15
    assert [number for number in shown if number.replace("%", "") not in results.replace("%", "")] == []


def test_a_line_that_is_written_anew_counts_as_it_was_written_last() -> None:
    text = "a\r\n\x1b[?25l\r\x1b[2Kone\r\x1b[2K\x1b[32mtwo\x1b[0m\r\n\x1b[1A\x1b[2Kthree\r\nlast"
    assert screen(text) == ["a", "three", "last"]


def test_a_terminal_s_picture_keeps_colors_and_wraps_what_is_too_long() -> None:
    found = svg(["\x1b[1;32mgreen\x1b[0m <b> & word", "x" * 150])
    assert "&lt;b&gt;" in found
    assert "x" * 104 in found
    assert "x" * 105 not in found
    assert "cdnjs" not in found
    assert re.search(r"fill: #[0-9a-f]{6};font-weight: bold", found)
