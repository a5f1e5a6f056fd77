"""The report: self-contained, complete, and safe whatever a model or a data file says."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from medicalgpt.config.loader import dump, load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.data.ledger import Ledger
from medicalgpt.errors import RunError
from medicalgpt.language import choose
from medicalgpt.runs import Manifest, MetricsLog, RunFolder, SampleLog, manifest, report
from medicalgpt.runs.manifest import Draft

SHA = "ab" * 32
EVIL = "<script>alert(1)</script><img src=x onerror=\"alert('2')\">"


class Page(HTMLParser):
    """Tags, attributes and visible text; checks that tags close in order."""

    VOID = ("meta", "img", "br")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style" and data.strip():
            self.texts.append(data.strip())


def record(**changes: Any) -> Manifest:
    ledger = Ledger()
    ledger.see("a.jsonl", 1204)
    ledger.settle("a.jsonl", "kept", rows=1200)
    ledger.settle("a.jsonl", "dropped", "empty answer", rows=4)
    values: dict[str, Any] = {
        "stage": "sft", "base": "smollm2-135m", "config_key": "key-of-this-run", "versions": {"torch": "2.13.0"},
        "hashes": {"data": SHA, "tokenizer": SHA, "base": SHA, "code": "cd" * 32}, "seed": 42, "device": "cpu",
        "world_size": 1, "ledger": ledger.as_dict(), "seconds": 125.4, "tokens": 1234567,
        "before": {"eval/loss": 2.5, "eval/old": 1.0}, "after": {"eval/loss": 2.0, "eval/new": None},
        "files": {"config.json": SHA}, "parents": [{"path": "../pt", "sha256": "ef" * 32}],
    }  # fmt: skip
    return Manifest(**(values | changes))


def page(folder: Path, made: Manifest) -> Page:
    path = report.write(folder, made)
    assert path == folder / "report.html"
    return Page(path.read_text("utf-8"))


def cells(shown: Page, first: str, count: int) -> list[str]:
    at = shown.texts.index(first)
    return shown.texts[at : at + count]


def test_the_report_tells_the_whole_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    MetricsLog(run.metrics).append(1, {"train/loss": 2.0, "train/learning_rate": 1e-4})
    shown = page(tmp_path, record())
    assert cells(shown, "SFT · smollm2-135m", 2) == ["SFT · smollm2-135m", "finished"]
    assert cells(shown, "Time", 2) == ["Time", "2 min 5 s"]
    assert cells(shown, "Training tokens", 2) == ["Training tokens", "1,234,567"]
    assert cells(shown, "eval/loss", 5) == ["eval/loss", "2.5", "2", "-0.5", "✓ better"]
    assert cells(shown, "eval/old", 4) == ["eval/old", "1", "–", "–"]
    assert cells(shown, "eval/new", 4) == ["eval/new", "–", "–", "–"]
    assert cells(shown, "a.jsonl", 6) == ["a.jsonl", "1,204", "1,200", "0", "0", "4"]
    assert "dropped: empty answer: 4" in shown.texts
    for text in ("../pt", "ef" * 32, "cd" * 32, "key-of-this-run", "2.13.0", "config.json"):
        assert text in shown.texts


def test_figures_are_inside_the_page_and_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    MetricsLog(run.metrics).append(1, {"train/loss": 2.0, "train/learning_rate": 1e-4})
    shown = page(tmp_path, record())
    pictures = [attrs["src"] or "" for tag, attrs in shown.tags if tag == "img"]
    decoded = [base64.b64decode(uri.removeprefix("data:image/png;base64,")) for uri in pictures]
    assert decoded == [(run.figures / "loss.png").read_bytes(), (run.figures / "learning_rate.png").read_bytes()]
    assert all(attrs.get("alt") for tag, attrs in shown.tags if tag == "img")
    assert not {"script", "link", "iframe"} & {tag for tag, _ in shown.tags}
    html = run.report.read_text("utf-8")
    assert not re.search(r"https?://|url\(|@import", html)
    assert "prefers-color-scheme: dark" in html


def test_text_of_models_and_data_is_escaped(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    SampleLog(run.samples).append(0, [{"role": "user", "content": EVIL}], EVIL, reference=EVIL, stopped=False)
    ledger = {"rows": 1, "kept": 1, "reasons": {EVIL: 1}, "files": {EVIL: {"rows": 1, "kept": 1}}}
    shown = page(tmp_path, record(base=EVIL, device=EVIL, ledger=ledger, versions={"torch": EVIL}))
    html = run.report.read_text("utf-8")
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert shown.texts.count(EVIL) >= 6  # prompt, answer, reference, device, file and version show it as plain text


def test_samples_show_the_first_and_the_last_answer_per_prompt(tmp_path: Path) -> None:
    log = SampleLog(RunFolder(tmp_path).samples)
    for step in (0, 10, 20):
        log.append(step, [{"role": "user", "content": "頭痛"}], f"A{step}", stopped=step == 20)
        log.append(step, "The heart", f"B{step}")
    shown = page(tmp_path, record())
    assert [t for t in shown.texts if re.fullmatch(r"[AB]\d+", t)] == ["A0", "A20", "B0", "B20"]
    assert "model at step 0 (cut off at the length limit)" in shown.texts
    assert shown.texts.count("model at step 20") == 2
    assert "頭痛" in shown.texts
    assert any("first and last of 3 rounds" in t for t in shown.texts)


def test_a_lone_surrogate_in_an_answer_does_not_break_the_report(tmp_path: Path) -> None:
    SampleLog(RunFolder(tmp_path).samples).append(0, "q", "bad \ud83d half")
    assert r"bad \ud83d half" in page(tmp_path, record()).texts


def test_several_ledgers_get_a_table_each(tmp_path: Path) -> None:
    one = {"rows": 2, "kept": 2, "files": {"t.jsonl": {"rows": 2, "kept": 2}}, "reasons": {}}
    shown = page(tmp_path, record(ledger={"train": one, "eval": one | {"files": {}}}))
    assert "train" in shown.texts
    assert "eval" in shown.texts
    assert shown.texts.count("All") == 2


def test_without_held_out_data_samples_and_metrics_the_report_still_stands(tmp_path: Path) -> None:
    shown = page(tmp_path, record(before={}, after={}, ledger={}, parents=[]))
    assert "Nothing was held out, so nothing was measured." in shown.texts
    assert "No data was read." in shown.texts
    assert "Sample answers" not in shown.texts


def test_the_manifest_is_read_when_none_is_given(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a finished run"):
        report.write(tmp_path)
    manifest.write(tmp_path, record(device="a-device"))
    assert "a-device" in Page(report.write(tmp_path).read_text("utf-8")).texts


def test_the_report_says_how_much_text_of_which_file_is_held_out(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.see("book.txt")
    ledger.settle("book.txt", "split")
    for characters, held in ((36_168, False), (1_906, True)):
        ledger.count_text("book.txt", characters, held)
    shown = page(tmp_path, record(ledger=ledger.as_dict()))
    assert "held out of book.txt, in characters of 38,074: 1,906" in shown.texts


def draft(status: str, **changes: Any) -> Draft:
    values = record(**changes).model_dump(exclude={"files", "status"})
    return Draft(**values, status=status, step=40, steps=200)


def test_a_run_under_way_and_an_interrupted_one_have_a_report(tmp_path: Path) -> None:
    running = Page(report.write_draft(tmp_path, draft("running")).read_text("utf-8"))
    assert cells(running, "Step", 2) == ["Step", "40 / 200"]
    assert cells(running, "Metric", 3) == ["Metric", "Before", "Now"]
    assert ("meta", {"http-equiv": "refresh", "content": "30"}) in running.tags, "an open page follows the run"
    assert "Before and so far" in running.texts
    assert not any("Files of model/" in text for text in running.texts)
    stopped = Page(report.write_draft(tmp_path, draft("interrupted", before={}, after={})).read_text("utf-8"))
    assert "interrupted" in stopped.texts and "Interrupted" in stopped.texts  # noqa: PT018  # badge and time
    for done in (stopped, page(tmp_path, record())):
        assert not any(attrs.get("http-equiv") == "refresh" for _, attrs in done.tags)
    assert not (tmp_path / "manifest.json").exists(), "a draft finishes no run"


def test_a_draft_is_no_manifest() -> None:
    with pytest.raises(ValueError):
        Manifest(**record().model_dump() | {"status": "running"})


def test_without_curves_nothing_is_drawn(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    MetricsLog(run.metrics).append(1, {"train/loss": 2.0})
    report.write_draft(tmp_path, draft("running"), curves=False)
    assert not run.figures.exists()


def test_the_configuration_is_shown_in_short_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    words = [
        "train.learning_rate=2e-5",
        "train.epochs=3",
        f"data.train=[{home}/a.jsonl]",
        "output_dir=x",
        "lora.rank=16",
    ]
    (tmp_path / "config.resolved.yaml").write_text(dump(load(stage_schema("dpo"), None, words)), "utf-8")
    shown = page(tmp_path, record())
    assert cells(shown, "Learning rate", 2) == ["Learning rate", "2e-05, cosine, warm-up 0.03"]
    assert cells(shown, "Trained", 2) == ["Trained", "lora adapters: rank 16, alpha 16, dropout 0"]
    assert cells(shown, "Epochs", 2) == ["Epochs", "3"]
    assert cells(shown, "Training data", 2) == ["Training data", "a.jsonl"]
    assert "beta 0.1" in cells(shown, "Objective", 2)[1]
    html = (tmp_path / "report.html").read_text("utf-8")
    assert "learning_rate: 2.0e-05  # override" in html
    assert str(home) not in html, "a report is shown around"


def test_a_config_that_cannot_be_read_costs_its_part_only(tmp_path: Path) -> None:
    (tmp_path / "config.resolved.yaml").write_text("train: [", "utf-8")
    assert "Configuration" not in page(tmp_path, record()).texts


def test_shares_have_rows_intervals_and_a_meaning(tmp_path: Path) -> None:
    name = "eval/rewards/accuracy"
    before = {name: 0.5, f"{name}_low": 0.35, f"{name}_high": 0.65, "eval/rows": 40.0}
    after = {name: 0.975, f"{name}_low": 0.871, f"{name}_high": 0.996, "eval/rows": 40.0}
    shown = page(tmp_path, record(before=before, after=after))
    assert cells(shown, name, 7) == [
        name, "50.0 %", "[35.0 %, 65.0 %]", "97.5 %", "[87.1 %, 99.6 %]", "+47.5 points", "✓ better"
    ]  # fmt: skip
    assert any("on 40 rows" in text for text in shown.texts)
    assert any("not that what the model writes is medically right" in text for text in shown.texts)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("zh-CN", ["已完成", "基础模型", "用时", "2 分 5 秒", "之前与之后", "✓ 变好", "数据", "截短", "由何而来"]),
        ("zh-TW", ["已完成", "基礎模型", "之前與之後", "✓ 變好", "資料"]),
    ],
)
def test_the_page_is_in_the_readers_language_and_no_other(tmp_path: Path, language: str, words: list[str]) -> None:
    run = RunFolder(tmp_path)
    MetricsLog(run.metrics).append(1, {"train/loss": 2.0, "train/learning_rate": 1e-4})
    SampleLog(run.samples).append(1, "问", "答", reference="好", stopped=False)
    run.config.write_text(
        "train: {learning_rate: 1.0e-4, schedule: cosine, warmup: 0.1, epochs: 2}\nlora: {enabled: false}\n"
    )
    ledger = Ledger()
    ledger.see("a.jsonl", 3)
    ledger.settle("a.jsonl", "kept", rows=2)
    ledger.settle("a.jsonl", "dropped", "no assistant turn")
    choose(language)
    shown = page(tmp_path, record(ledger=ledger.as_dict(), after={"eval/loss": 2.0, "eval/rows": 12}))
    assert [word for word in words if word not in shown.texts] == []
    assert ("html", {"lang": language}) in shown.tags
    own = ("SFT · smollm2-135m", "smollm2-135m", "cpu", "torch", "config.json", "a.jsonl", "../pt")
    prose = [text for text in shown.texts if re.search(r"[A-Za-z]{2,} [a-z]{2,}", text) and text not in own]
    assert [text for text in prose if not re.search("[\u4e00-\u9fff]", text) and "learning_rate" not in text] == []
