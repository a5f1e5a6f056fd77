"""What a run and a pipeline say on the terminal is in the reader's language, and no line of it half."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from matplotlib.figure import Figure
from tests import rl
from tests.e2e.test_pipeline import plan
from tests.marks import quick_and_slow
from tests.stages import Bench
from tests.tiny import tiny_config
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.pipeline import StageEntry
from medicalgpt.kernels import attention
from medicalgpt.language import choose, translated
from medicalgpt.language.catalogue import is_prose
from medicalgpt.models.context import fitting
from medicalgpt.models.probe import NOT_ASKED, refusal
from medicalgpt.models.trial import Outcome
from medicalgpt.pipeline.table import _loss_curves

CHINESE = re.compile("[\u4e00-\u9fff]")


@pytest.fixture(autouse=True)
def _english_again() -> Iterator[None]:
    yield
    choose(None)


def said(*words: str) -> str:
    done = CliRunner().invoke(app, ["--lang", "zh-CN", *words], env={"COLUMNS": "400"})
    assert done.exit_code == 0, done.output
    return done.output


def english(text: str) -> list[str]:
    """Lines that hold an English clause, whether or not there is Chinese in them; paths and commands are none."""
    bare = (
        re.sub(r"\S*/\S*|[\u4e00-\u9fff，。：；（）、]+|medicalgpt [a-z ]+", "|", line) for line in text.splitlines()
    )
    return [line for line in bare if is_prose(line)]


def test_an_english_clause_is_found() -> None:
    assert english("正在测量 held-out rows …\n数据：rows 2, kept 2") == []  # of single words nobody can tell
    assert english("正在测量 rows before training …") == ["| rows before training …"]


def refusals() -> list[str]:
    """Every reason for padding a batch, as the probe puts them together."""
    seen = attention.AttentionTrace(layers={0}, windows=set(), masked={8})
    outcome = Outcome(torch.ones(2), 1.0)
    lacks = [
        "would leave out the adapter on the head",
        seen.objection(SimpleNamespace(num_hidden_layers=2)),
        seen.objection(SimpleNamespace(num_hidden_layers=1)),
        outcome.objection(Outcome(torch.zeros(2), 1.0), torch.float32, "log-probability"),
        outcome.objection(Outcome(torch.ones(2), 3.0), torch.float32, "score"),
        "does not run on this model (RuntimeError)",
    ]
    assert all(lacks)
    return [NOT_ASKED, *(refusal(lack, "") for lack in lacks), *(refusal(lacks[0], lack) for lack in lacks[1:])]


@pytest.mark.parametrize("language", ["zh-CN", "zh-TW"])
def test_why_a_batch_is_padded_is_said_in_the_reader_s_language(language: str) -> None:
    choose(language)
    for reason in refusals():
        line = f"sft: runs/base, 1.00 M parameters, 0.50 M trained, batching: padded ({reason})"
        assert CHINESE.search(translated(line)), reason
        assert english(translated(line)) == []
        shared = f"{line}; sharded: each process holds 1/2 of it, 2 copies; each row on 2 processes"
        assert CHINESE.search(translated(shared))
        assert english(translated(shared)) == []
        assert english(translated(f"train.batching=tree: {reason}; use auto or padded")) == []


@pytest.mark.parametrize(("unit", "told"), [("step", "这一步就停下"), ("update", "这一更新就停下")])
def test_the_unit_of_a_run_is_named_in_the_reader_s_language(unit: str, told: str) -> None:
    choose("zh-CN")
    line = f"SIGINT: stopping after this {unit}; a checkpoint is saved (Ctrl-C again to stop at once)"
    assert told in translated(line)


def test_what_loading_says_is_in_the_reader_s_language(capsys: pytest.CaptureFixture[str]) -> None:
    choose("zh-CN")
    assert fitting(64, tiny_config(max_position_embeddings=32), "data.max_tokens") == 32
    shown = capsys.readouterr().err
    assert "data.max_tokens" in shown
    assert CHINESE.search(shown)
    assert english(shown) == []


@pytest.mark.slow
def test_a_pipeline_speaks_chinese(bench: Bench, tmp_path: Path) -> None:
    shown = said("pipeline", "run", str(plan(bench, tmp_path)))
    question, _, answers = shown.partition("What is a fever?")
    assert english(question) == []
    assert "正在读取" in question
    for words in (
        "预检",
        "停止 token",
        "正在训练之前测量留出数据 …",
        "每个阶段之前 → 之后",
        "文档困惑度",
        "偏好准确率（4 条）",
    ):
        assert words in question
    assert re.search(r"dpo：\S+，[\d.]+ 百万参数，训练其中 [\d.]+ 百万，组批：tree", question)
    assert re.search(r"数据：共 \d+ 条，保留 \d+，截短 \d+，拆分 \d+，丢弃 \d+", question)
    summary = (tmp_path / "runs/summary.md").read_text(encoding="utf-8")
    assert english(summary.partition("## ")[0]) == []
    assert summary.startswith("# 每个阶段之前 → 之后\n")
    assert "和它对话：medicalgpt chat --model " in answers


@pytest.mark.parametrize("stage", quick_and_slow(["sft", "rm"], ["pt", "dpo", "orpo", "simpo", "kto"]))
def test_a_run_speaks_chinese(stage: str, bench: Bench, tmp_path: Path, no_figures: None) -> None:
    shown = said("train", *bench.words(stage, tmp_path / "run"))
    assert english(shown) == []
    for sought in ("正在读取", "预检", "正在训练之前测量留出数据 …", "正在把模型和报告保存到"):
        assert sought in shown


@pytest.mark.parametrize("stage", quick_and_slow(["grpo"], ["ppo", "rloo"]))
def test_a_run_on_its_own_answers_speaks_chinese(stage: str, bench: Bench, tmp_path: Path, no_figures: None) -> None:
    _, *words = rl.words(bench, stage, tmp_path / "run")
    shown = said("train", stage, *words)
    assert english(shown) == []
    for sought in ("更新 1/2  score ", "正在回答", "个留出的提示 …", "条用于训练"):
        assert sought in shown


@pytest.mark.parametrize("stage", ["sft", "ppo"])
def test_the_curves_of_a_pipeline_have_no_keys_for_names(stage: str, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    curve = "score" if stage_schema(stage).rollouts else "loss"
    lines = [{"step": step, f"{part}/{curve}": 1.0} for step in (1, 2) for part in ("train", "eval")]
    (tmp_path / "one/metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    entry = StageEntry(name="one", stage=stage, config="x.yaml")

    def names(figure: Figure) -> list[str]:
        (axes,) = figure.axes
        return [text.get_text() for text in axes.get_legend().get_texts()]

    choose("en")
    assert names(_loss_curves(tmp_path, [entry])) == ["training", "held-out"]
