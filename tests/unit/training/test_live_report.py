"""The report while a run is under way: from its log, now and then, by one process, and never worth stopping for."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from medicalgpt.config.sections import ModelConfig
from medicalgpt.runs import MetricsLog, RunFolder
from medicalgpt.runs import report as page
from medicalgpt.training import live_report
from medicalgpt.training.live_report import LiveReport

SHA = "ab" * 32


@pytest.fixture
def ctx(tmp_path: Path) -> Any:
    """As much of a stage's context as a report asks for."""
    config = SimpleNamespace(
        model=ModelConfig(base="b"), train=SimpleNamespace(seed=1), plugins=(), adapter_model=(), other_models=()
    )
    prepared = SimpleNamespace(hashes={"data": SHA, "template": SHA, "tokenizer": SHA}, held_out=[1] * 40, ledger={})
    key = SimpleNamespace(hash=lambda: "key", code=SHA)
    return SimpleNamespace(
        config=config, name="dpo", prepared=prepared, key=key, base={"base": SHA}, folder=RunFolder(tmp_path), rank=0, world=1,
        started=0.0, console=Console(file=io.StringIO()),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medicalgpt.training.publish.plugin_hashes", lambda config: {})


def logged(folder: Path) -> None:
    log = MetricsLog(folder / "metrics.jsonl")
    log.append(0, {"eval/rewards/accuracy": 0.5})
    log.append(1, {"train/loss": 0.6, "train/tokens": 700})
    log.append(2, {"train/loss": 0.5, "train/tokens": 1400})
    log.append(2, {"eval/rewards/accuracy": 0.975})
    log.append(3, {"train/loss": 0.4, "train/tokens": 2100})


def test_the_report_shows_what_the_log_holds(ctx: Any, tmp_path: Path) -> None:
    logged(tmp_path)
    LiveReport(ctx).interrupted(3, 20)
    html = (tmp_path / "report.html").read_text("utf-8")
    for text in ("interrupted", "3 / 20", "50.0 %", "97.5 %", "2,100", "better", "on 40 rows", "data:image/png"):
        assert text in html, text


def test_now_and_then_means_neither_at_every_step_nor_never(
    ctx: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bool] = []
    now = 0.0
    monkeypatch.setattr("time.perf_counter", lambda: now)
    report = LiveReport(ctx)

    def write(folder: Path, record: Any, *, curves: bool = True) -> None:
        nonlocal now
        written.append(curves)
        now += 4.0  # drawing takes time

    monkeypatch.setattr(page, "write_draft", write)
    report.begin(0, 20)
    assert written == [False], "before the first step there is no curve"
    for _ in range(200):
        now += 1.0
        report.now_and_then(1, 20)
    assert written == [False, True], "two per cent of the time and no more"


def test_other_processes_write_nothing(ctx: Any, tmp_path: Path) -> None:
    ctx.rank = 1
    LiveReport(ctx).begin(0, 20)
    assert not (tmp_path / "report.html").exists()


def test_a_report_that_cannot_be_written_stops_no_run_and_is_said_once(ctx: Any, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("{broken\n{}\n")
    report = LiveReport(ctx)
    report.begin(0, 20)
    report.interrupted(1, 20)
    assert ctx.console.file.getvalue().count("the report is not kept up to date") == 1


def test_reports_take_little_of_a_run() -> None:
    assert live_report._PAUSE >= 30
