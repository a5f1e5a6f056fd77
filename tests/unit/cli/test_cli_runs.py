"""`medicalgpt runs` as typed: what is printed, what is asked, and how it ends."""

import io
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast, get_args

import pytest
from rich.cells import cell_len
from tests.run_folders import begun, checkpoint, evaluated, finished
from typer.testing import CliRunner

from medicalgpt.browse import delete as deleting
from medicalgpt.browse import info
from medicalgpt.browse import pack as packing
from medicalgpt.browse.compare import compare
from medicalgpt.browse.find import info_of
from medicalgpt.browse.follow import follow
from medicalgpt.cli import app, runs, runs_show
from medicalgpt.errors import RunError
from medicalgpt.language import choose


def said(*words: object, code: int = 0, given: str = "") -> str:
    done = CliRunner().invoke(app, ["runs", *map(str, words)], input=given)
    assert done.exit_code == code, done.output
    return done.output


def test_words_of_the_options_are_those_of_the_types() -> None:
    for choice, words in ((runs.Kind, info.Kind), (runs.State, info.State), (runs.Part, packing.Part)):
        assert [one.value for one in choice] == list(get_args(words))


def test_list(tmp_path: Path) -> None:
    finished(tmp_path / "b", "dpo", after={"eval/loss": 1.25})
    checkpoint(begun(tmp_path / "a"), 2)
    head, first, second = said("list", tmp_path).splitlines()
    assert head.split("\t")[:4] == ["name", "stage", "state", "held out, before → after"]
    assert first.split("\t")[:4] == ["a", "sft", "interrupted (goes on from step 2)", "loss 2.5 → 2"]
    assert second.split("\t")[:6] == ["b", "dpo", "finished", "loss 2.5 → 1.25", "smollm2-135m", "a.jsonl"]
    assert second.split("\t")[7] == "90 s"
    found = json.loads(said("list", tmp_path, "--json", "--sort", "eval/loss", "--descending", "--state", "finished"))
    assert [(one["name"], one["numbers"][0]["after"], one["kind"]) for one in found] == [("b", 1.25, "run")]
    assert "none of 2" in said("list", tmp_path, "--filter", "zebra")
    (tmp_path / "empty").mkdir()
    assert "no runs below" in said("list", tmp_path / "empty")
    assert "is no folder" in said("list", tmp_path / "no", code=2)
    assert "'eval/x'; allowed" in said("list", tmp_path, "--sort", "eval/x", code=2)


def test_names_and_notes_cannot_move_the_cursor(tmp_path: Path) -> None:
    finished(tmp_path / "a\x1b[2Jb\nc", base="\x1b]0;x\x07")
    out = said("list", tmp_path) + said("show", tmp_path / "a\x1b[2Jb\nc")
    assert "\x1b" not in out
    assert "\x07" not in out
    assert len(said("list", tmp_path).splitlines()) == 2


def test_show(tmp_path: Path) -> None:
    parent = finished(tmp_path / "pt", "pt")
    run = finished(tmp_path / "sft", base=parent / "model", parent=parent)
    out = said("show", run)
    for expected in (
        "· sft · finished",
        str(parent),
        "a.jsonl (4 rows kept)",
        "eval/loss  2.5 → 2  (better)",
        "rank 8",
    ):
        assert expected in out
    assert len(out.splitlines()) < 40
    assert json.loads(said("show", run, "--json"))["parents"] == [str(parent)]
    assert "triage" in said("show", evaluated(tmp_path / "t"))
    assert "is no run" in said("show", tmp_path, code=2)


def test_compare(tmp_path: Path) -> None:
    one, two = finished(tmp_path / "one", "sft", "lora.rank=4"), finished(tmp_path / "two")
    page = tmp_path / "c.html"
    out = said("compare", one, two, "--output", page)
    assert "lora.rank\t4\t8" in out
    assert "eval/loss\t2.5 → 2\t2.5 → 2" in out
    assert "train/loss\t2.25 █▅▁ 1.75\t2.25 █▅▁ 1.75" in out
    assert "one (step 3): one says rest" in out
    assert page.is_file()
    assert "model.base\t" not in out
    assert "model.base\tsmollm2-135m\tsmollm2-135m" in said("compare", one, two, "--same")
    assert "says rest" not in said("compare", one, two, "--samples", "0")
    assert json.loads(said("compare", one, two, "--json"))["differences"]["lora.rank"] == {"one": "4", "two": "8"}
    assert "give 2 to" in said("compare", one, code=2)


def test_tail_of_what_is_over_and_of_what_is_broken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = finished(tmp_path / "a")
    *lines, last = said("tail", run, "-n", "2").splitlines()
    assert lines[0] == "step 3  loss 1.75  learning_rate 0.0001  tokens 300"
    assert last == f"finished: {run}"

    def stopped(*_: object) -> object:
        yield from list(follow(run))[:1]
        raise KeyboardInterrupt

    monkeypatch.setattr("medicalgpt.browse.follow.follow", stopped)
    assert "no longer followed; the run goes on" in said("tail", run)


def test_delete_asks_first(tmp_path: Path) -> None:
    run = finished(tmp_path / "a")
    out = said("delete", run, given="n\n", code=2)
    assert "Delete it for good?" in out
    assert "nothing was deleted" in out
    assert f"nothing below {tmp_path} goes on from it" in out
    assert (run / "manifest.json").is_file()
    (run / "notes.txt").write_text("x")
    out = said("delete", run, given="y\n")
    assert "kept, as no run makes it: notes.txt" in out
    assert list(run.iterdir()) == [run / "notes.txt"]
    later = finished(tmp_path / "later", base=finished(tmp_path / "first") / "model")
    assert "Delete those first, or give --force" in said("delete", tmp_path / "first", "--yes", code=2)
    assert "Delete those first" in said("delete", later, tmp_path / "first", "--yes", code=2)
    assert later.is_dir(), "none of them, where one may not"
    said("delete", tmp_path / "first", "--yes", "--force")
    assert not (tmp_path / "first").exists()


def test_what_is_gone_is_said_before_the_next_one_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = finished(tmp_path / "a"), finished(tmp_path / "b")
    delete = deleting.delete

    def fails_at_the_second(path: Path, force: bool, among: Path | None) -> deleting.Deleted:
        if path == second:
            raise RunError("the disk is gone")
        return delete(path, force, among)

    monkeypatch.setattr(deleting, "delete", fails_at_the_second)
    done = CliRunner().invoke(app, ["runs", "delete", str(first), str(second), "--yes"])
    assert done.exit_code != 0
    assert f"deleted: {first}" in done.output
    assert second.is_dir()


def test_programs_read_json(tmp_path: Path) -> None:
    run = finished(tmp_path / "a")
    (run / "mine.txt").write_text("mine", encoding="utf-8")
    *steps, last = map(json.loads, said("tail", run, "--json").splitlines())
    assert steps
    assert all(isinstance(line["step"], int) for line in steps)
    assert (last["state"], last["path"]) == ("finished", str(run))
    packed = json.loads(said("export", run, "--output", tmp_path / "a.zip", "--json"))
    assert packed["path"] == str(tmp_path / "a.zip")
    assert "manifest.json" in packed["files"]
    assert ["mine.txt"] in packed["left_out"].values()
    done = CliRunner().invoke(app, ["runs", "delete", str(run), "--json", "--yes"])
    assert f"{run}: run sft, finished" in done.stderr
    (gone,) = json.loads(done.stdout)
    assert (gone["path"], gone["kept"]) == (str(run), ["mine.txt"])
    assert gone["bytes"] > 0


def test_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = said("export", finished(tmp_path / "runs/a"))
    assert "written: a.zip, 4 files and contents.json" in out
    assert "left out: samples.jsonl (text of rows and answers; --with text adds it)" in out
    assert "left out: " not in said("export", "runs/a", "--output", "b.tar.zst", "--with", "weights", "--with", "text")
    assert "'everything' is not one of" in said("export", "runs/a", "--with", "everything", code=2)


def test_many_runs_are_listed_in_about_a_second(tmp_path: Path) -> None:
    """A quarter of a thousand here, and a bound that a loaded machine keeps, too."""
    first = finished(tmp_path / "run-0")
    text = {path.name: path.read_bytes() for path in first.iterdir() if path.is_file()}
    for n in range(1, 250):
        (tmp_path / f"run-{n}").mkdir()
        for name, data in text.items():
            (tmp_path / f"run-{n}" / name).write_bytes(data)
    began = time.process_time()
    assert len(json.loads(said("list", tmp_path, "--json"))) == 250
    assert time.process_time() - began < 2.0


class Terminal(io.TextIOWrapper):
    """A terminal that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def isatty(self) -> bool:
        return True

    @property
    def text(self) -> str:
        shown = cast(io.BytesIO, self.buffer).getvalue().decode("utf-8")
        return re.sub(r"\x1b\[[0-9;]*m", "", shown)  # colors


@contextmanager
def chinese_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    choose("zh-CN")
    try:
        with monkeypatch.context() as changed:
            changed.setenv("COLUMNS", "400")
            changed.setattr("sys.stdout", screen := Terminal())
            yield screen
    finally:
        choose(None)


def english(text: str) -> list[str]:
    """Words of ours that are English: two letters or more, no key, path, option or value."""
    bare = re.sub(r"\S*[./=_-]\S*|\b(ab)+\b|，cosine|lora 适配器", " ", text)
    names = {
        "kB",
        "UTC",
        "one",
        "two",
        "sft",
        "sha256",
        "sha",
        "alpha",
        "dropout",
        "token",
        "torch",
        "cpu",
        "assistant",
    }
    return [word for word in re.findall(r"[A-Za-z]{2,}", bare) if word not in names]


def test_tables_of_a_terminal_are_in_the_readers_language(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [finished(tmp_path / "one", "dpo"), checkpoint(begun(tmp_path / "two"), 2).parents[1]]
    found = [one for run in [*runs, evaluated(tmp_path / "three")] if (one := info_of(run)) is not None]
    with chinese_terminal(monkeypatch) as screen:
        runs_show.print_list(found, 3, tmp_path)
    head, first, second, third, last = screen.text.splitlines()
    assert head.split() == [
        "名称",
        "阶段",
        "状态",
        "留出数据，之前",
        "→",
        "之后",
        "来自",
        "数据",
        "大小",
        "时间",
        "改动时间",
    ]
    assert "dpo" in first
    assert "已完成" in first
    assert "已中断（从第 2 步接着做）" in second
    assert "评测" in third
    assert last == f"{tmp_path} 下 3 个中的 3 个"
    # Columns are as wide as the terminal draws them: a Chinese character is two cells.
    assert cell_len(head.partition("阶段")[0]) == cell_len(first.partition("dpo")[0])


def test_one_run_and_a_comparison_have_no_english_heading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [finished(tmp_path / "one", "sft", "lora.rank=4"), begun(tmp_path / "two")]
    found = [one for run in runs if (one := info_of(run)) is not None]
    with chinese_terminal(monkeypatch) as screen:
        for one in found:
            runs_show.print_one(one)
    shown = screen.text
    assert f"{tmp_path}/one · sft · 已完成" in shown
    assert "数据            a.jsonl（保留 4 条）" in shown
    assert "  eval/loss  2.5 → 2（更好）" in shown
    assert {cell_len(line[: line.index("a.jsonl")]) for line in shown.splitlines() if "a.jsonl" in line} == {16}
    assert english(shown) == []
    with chinese_terminal(monkeypatch) as screen:
        runs_show.print_comparison(compare(runs), 2, same=True)
    for expected in (
        "不同的设置",
        "数据的 sha256",
        "设备",
        "torch 的版本",
        "曲线：首值、走势、末值",
        "one（第 3 步）：one says",
    ):
        assert expected in screen.text
    headings = [line for line in screen.text.partition("user：Fever?")[0].splitlines() if line and "  " not in line]
    assert len(headings) == 3
    assert english("\n".join(headings)) == []


def test_what_goes_elsewhere_keeps_its_english_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = finished(tmp_path / "one", "sft", "lora.rank=4"), begun(tmp_path / "two")
    monkeypatch.setenv("MEDICALGPT_LANG", "zh-CN")
    assert said("list", tmp_path).startswith("name\tstage\tstate\theld out, before → after\tfrom\t")
    compared = said("compare", one, two)
    assert "不同的设置" in compared
    assert "\nlora.rank\t4\t8\n" in compared
    assert "sha256 of data\tabababababab\t–" in compared
    assert json.loads(said("show", one, "--json"))["state"] == "finished"


def test_the_page_of_a_comparison_is_in_the_readers_language(tmp_path: Path) -> None:
    one, two = finished(tmp_path / "one", "sft", "lora.rank=4"), begun(tmp_path / "two")
    choose("zh-TW")
    try:
        page = compare([one, two]).write(tmp_path / "c.html").read_text(encoding="utf-8")
    finally:
        choose(None)
    assert '<html lang="zh-TW">' in page
    text = re.sub(r"<style>.*?</style>|<[^>]*>", "\n", page, flags=re.DOTALL)
    lines = [line for line in text.splitlines() if re.search(r"[A-Za-z]{3,} [a-z]{2,}", line)]
    assert [line for line in lines if not re.search("[\u4e00-\u9fff]", line) and "says rest" not in line] == []
    assert "不同之處" in text


def test_what_is_deleted_and_followed_is_told_in_the_readers_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished(tmp_path / "a")
    monkeypatch.setenv("MEDICALGPT_LANG", "zh-CN")
    asked = said("delete", run, given="n\n", code=2)
    assert asked.startswith(f"{run}：运行 sft，已完成，")
    assert "确定永久删除？" in asked
    step, state = said("tail", run, "-n", "1").splitlines()
    assert step == "第 3 步  eval/loss 2"
    assert state == f"已完成：{run}"
