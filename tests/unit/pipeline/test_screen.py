"""The last screen of a pipeline: what fits, what is said of a small base, and which larger one fits."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from tests.hubs import Hubs, online
from tests.tiny import save_tiny
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.config.loader import load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.memory import larger
from medicalgpt.memory.estimate import setup_for
from medicalgpt.memory.larger import BASES, largest_that_fits
from medicalgpt.models.locate import locate
from medicalgpt.pipeline import screen

ROWS = [
    screen.Row(
        "preference accuracy", {"base": "50.0% [31%, 68%]", "sft": "52% [33%, 70%]", "dpo": "97.5% [80%, 99%]"}, 24
    )
]
LONG = "Take the tablets as your doctor said, and ask before you change anything. " * 20


def shown(width: int, answers: list[tuple[str, dict[str, str]]]) -> list[str]:
    text = io.StringIO()
    screen.show(ROWS, answers, Console(file=text, width=width, soft_wrap=True))
    return text.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 200])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    answers = [
        ("How much paracetamol can an adult take in one day? [bold]", {"base": LONG, "sft": LONG, "dpo": "血" * 500})
    ]
    lines = shown(width, answers)
    assert max(map(len, lines)) <= width
    assert len(lines) < 70, "short"


def test_answers_stand_side_by_side_the_first_and_the_last_where_there_is_no_room_for_all() -> None:
    answers = [("Q", {"base": "AAA", "sft": "BBB", "dpo": "CCC"})]
    narrow = [line for line in shown(80, answers) if "AAA" in line]
    assert len(narrow) == 1
    assert "CCC" in narrow[0]
    assert "BBB" not in narrow[0]
    assert any("BBB" in line and "CCC" in line for line in shown(140, answers))


def test_a_number_says_its_rows_and_meaning() -> None:
    text = " ".join(shown(80, []))
    assert "preference accuracy (24 rows): share of answer pairs" in text
    assert "medically right" in text


def test_short_answers_stay_and_long_ones_end_at_a_word() -> None:
    assert screen.short("Rest.\n\nDrink.") == "Rest. Drink."
    cut = screen.short(LONG)
    assert cut.endswith(" …")
    assert len(cut) <= 242
    assert LONG.startswith(cut[:-2])
    assert screen.short("血" * 300) == "血" * 240 + " …"


def test_the_largest_base_that_fits_is_named() -> None:
    setup = setup_for("lora", "float32", "cpu", row_tokens=512)
    found = largest_that_fits(setup, free=20 * 10**9)
    assert found is not None
    assert found.name in BASES
    assert found.need <= found.free
    after = list(BASES)[list(BASES).index(found.name) + 1]
    shape = larger.shape_of_config(larger._config(BASES[after]))
    assert larger.estimate(shape, setup).total > 20 * 10**9, "the next one would not fit"
    assert largest_that_fits(setup, free=10**8) is None
    assert largest_that_fits(setup, more_than=found.parameters, free=20 * 10**9) is None
    full = setup_for("full", "float32", "cpu", row_tokens=512)
    assert largest_that_fits(full, free=20 * 10**9) == found, "it would be trained with adapters"


def test_the_sizes_are_those_of_their_names() -> None:
    for name, dimensions in BASES.items():
        said = float(name.rpartition("-")[2].removesuffix("B"))
        assert larger.shape_of_config(larger._config(dimensions)).parameters / 1e9 == pytest.approx(said, rel=0.06)


def test_a_small_base_is_told_apart_from_a_doctor(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = str(save_tiny(tmp_path / "base"))
    words = [f"model.base={base}", "data.train=[a.jsonl]", "output_dir=x", "data.max_tokens=128"]
    stages = [load(stage_schema(stage), None, words).value for stage in ("sft", "dpo")]
    monkeypatch.setattr(larger, "free_memory", lambda: 20 * 10**9)
    monkeypatch.setattr("medicalgpt.hub.repository.offline", lambda: False)
    first, second, command, without = screen.caution(base, stages, "my pipeline.yaml")
    assert "cannot know medicine" in first
    assert "By the estimate this machine could train Qwen/Qwen3-" in second
    assert command.startswith("  medicalgpt pipeline run 'my pipeline.yaml' base=Qwen/Qwen3-")
    assert without.startswith("Without a network: medicalgpt models pull Qwen/Qwen3-")
    monkeypatch.setattr(larger, "free_memory", lambda: 10**6)
    assert "no larger base" in list(screen.caution(base, stages, "p.yaml"))[-1]
    assert list(screen.caution(str(tmp_path / "gone"), stages, "p.yaml")) == []


def test_offline_the_commands_are_such_that_work_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is pulled by the first command on a machine with a network; the second one finds the folder without."""
    hubs = Hubs()
    monkeypatch.chdir(tmp_path)
    with online(hubs.handler(), tmp_path, monkeypatch):
        files = {path.name: path.read_bytes() for path in save_tiny(tmp_path / "tiny").iterdir()}
        hubs.commit("org/Large-1B", files)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        _, pull, _, run = screen._how_to_train("org/Large-1B", "p.yaml")
        assert run == "  medicalgpt pipeline run p.yaml base=./large-1b output_dir=runs/large-1b"
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        command, *words = pull.split()
        assert command == "medicalgpt"
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        assert locate(run.split("base=")[1].split()[0]).kind == "model"
        # What the cache holds by now needs no copying.
        assert list(screen._how_to_train("org/Large-1B", "p.yaml")) == [run.replace("./large-1b", "org/Large-1B")]
