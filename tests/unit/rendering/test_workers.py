"""Any number of processes makes the same stores, says the same about a bad row, and leaves nothing behind."""

import copy
import gc
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import wait
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from tests.tiny import tiny_tokenizer

from medicalgpt.config.sections import DataConfig
from medicalgpt.errors import DataError, RenderError, RunError
from medicalgpt.rendering import row_work, workers
from medicalgpt.rendering.build import Prepared, prepare
from medicalgpt.rendering.progress import Progress
from medicalgpt.rendering.row_stream import RowStream
from medicalgpt.rendering.row_work import Chunk, RowWork
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.workers import Workers

STORED = ("ids.bin", "weights.bin", "segments.npy", "sources.npy", "store.json")


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {"messages": [{"role": r, "content": f"{r} {i} asks of a fever"} for r in ("user", "assistant") * (1 + i % 3)]}
        for i in range(count)
    ]


def write(path: Path, found: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    return str(path)


def run(folder: Path, template: ChatTemplate | None = None, console: Console | None = None, **data: Any) -> Prepared:
    template = template or ChatTemplate.load(tiny_tokenizer())
    config = DataConfig(**{"max_tokens": 256, **data})
    return prepare(config, "dialogue", template, folder, 1, progress=Progress(console))


def content(folder: Path) -> dict[str, bytes]:
    """All that a cache holds, by name."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_work, "_ROWS", 7)


@pytest.fixture
def helped(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows go on only when the other processes are ready; how many chunks these got is counted."""
    give, there, sent = Workers.give, workers._there, list[int]()

    def waiting(crew: Workers, work: RowWork) -> None:
        give(crew, work)
        wait(crew._starting.values())

    def counted(worker: Any, act: Any, chunk: Chunk) -> Any:
        sent.append(len(chunk.rows))
        return there(worker, act, chunk)

    monkeypatch.setattr(Workers, "give", waiting)
    monkeypatch.setattr(workers, "_there", counted)
    return sent


@pytest.mark.usefixtures("small_chunks")
def test_any_number_of_processes_makes_the_same_bytes(tmp_path: Path, helped: list[int]) -> None:
    bad = {"messages": [{"role": "user", "content": "Nobody answers."}]}
    special = {"question": "A fever?", "answer": "It <|im_end|> ends."}
    train = [
        write(tmp_path / "a.jsonl", [*rows(90), bad, *rows(90), special]),
        write(tmp_path / "b.jsonl", [{"question": f"Number {i}?", "answer": "Rest. " * i} for i in range(1, 40)]),
    ]
    found = [
        run(tmp_path / str(n), train=train, workers=n, on_bad_row="drop", eval_fraction=0.1, over_length="split")
        for n in (1, 2)
    ]
    one, two = (content(tmp_path / str(n)) for n in (1, 2))
    assert one == two
    assert 1 < len(helped) < 36  # some of the chunks; the others were worked on here
    assert len(one) == 2 * len(STORED) + 2
    assert found[0].ledger == found[1].ledger
    assert found[0].ledger["reasons"].keys() == {
        "dropped: cannot be rendered: RenderError",
        "dropped: no assistant turn",
    }


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("what", ["special token", "broken file"])
def test_an_error_is_that_of_one_process(what: str, tmp_path: Path, helped: list[int]) -> None:
    good = rows(60)
    if what == "special token":
        good[40] = {"question": "A fever?", "answer": "It <|im_end|> ends."}
    train = write(tmp_path / "a.jsonl", good)
    if what == "broken file":
        Path(train).write_bytes(Path(train).read_bytes() + b'{"question": "\xff\xfe", "answer": "x"}\n')
    said = []
    for n in (1, 2):
        with pytest.raises((DataError, RenderError)) as caught:
            run(tmp_path / str(n), train=[train], workers=n)
        said.append((type(caught.value), str(caught.value)))
        assert not [name for name in content(tmp_path / str(n)) if "ledger" in name or ".build" in name]
    assert said[0] == said[1]
    assert helped or what == "broken file"  # which is found before any row is worked on
    assert f"{train}:{61 if what == 'broken file' else 41}" in said[0][1]


SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.unit.rendering.test_workers import run
print(len(run(Path({folder!r}), train=[{train!r}], workers=2).train))
"""


def test_a_process_imports_only_what_ordinary_rows_need() -> None:
    """Each of these takes as long as some hundred rows, or thousands, in which a process could help already."""
    heavy = (
        "torch",
        "transformers",
        "jsonschema",
        "jinja2",
        "rich",
        "typer",
        "pyarrow",
        "medicalgpt.data.documents.parser",
    )
    code = f"import sys, medicalgpt.rendering.worker; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_script_without_a_guard_is_run_once(tmp_path: Path) -> None:
    """With multiprocessing each helper would run it again, and fail."""
    train = write(tmp_path / "a.jsonl", rows(20))
    script = tmp_path / "train.py"
    root = str(Path(__file__).resolve().parents[3])
    script.write_text(SCRIPT.format(root=root, folder=str(tmp_path / "cache"), train=train))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout == "19\n"


def test_a_tokenizer_that_cannot_be_sent_is_used_here_with_a_word(tmp_path: Path) -> None:
    class Foreign(ChatTemplate):
        def __reduce__(self) -> Any:
            raise TypeError("no")

    source = tiny_tokenizer().chat_template
    said = StringIO()
    template = Foreign.of_text(tiny_tokenizer(), source, "tokenizer")
    train = write(tmp_path / "a.jsonl", rows(20))
    found = run(tmp_path / "a", template, Console(file=said), train=[train], workers=2)
    assert "one process: the tokenizer cannot be sent to another process (TypeError)" in said.getvalue()
    run(tmp_path / "b", train=[train], workers=1)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert len(found.train) == 19


@pytest.mark.usefixtures("helped")
def test_a_process_that_cannot_take_up_the_work_is_left_out_with_a_word(tmp_path: Path) -> None:
    class Foreign(ChatTemplate):
        def __reduce__(self) -> Any:
            return int, ("no number",)

    said = StringIO()
    template = Foreign.of_text(tiny_tokenizer(), tiny_tokenizer().chat_template, "tokenizer")
    train = write(tmp_path / "a.jsonl", rows(20))
    found = run(tmp_path / "a", template, Console(file=said), train=[train], workers=2)
    assert "one process less: it could not take up the work (ValueError)" in said.getvalue()
    run(tmp_path / "b", train=[train], workers=1)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert len(found.train) == 19


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("first", ["tools", "bad"])
def test_conversations_that_come_late_are_learned_by_the_others(first: str, tmp_path: Path, helped: list[int]) -> None:
    """What goes along with the work is what the first rows showed: here nothing about ordinary conversations."""
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
    odd = {
        "tools": rows(1)[0] | {"tools": tools},
        "bad": {"messages": [{"role": "user", "content": "Nobody answers."}]},
    }
    train = write(tmp_path / "a.jsonl", [odd[first]] * 7 + rows(60))
    for n in (1, 2):
        run(tmp_path / str(n), train=[train], workers=n, on_bad_row="drop", max_bad_share=0.5)
    assert content(tmp_path / "1") == content(tmp_path / "2")
    assert helped


@pytest.mark.usefixtures("small_chunks", "helped")
def test_a_process_that_lacks_the_code_of_a_tokenizer_is_left_out_with_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the work, and not when it needs the tokenizer for the first time."""
    tokenizer = copy.deepcopy(tiny_tokenizer())
    foreign = type("Foreign", (type(tokenizer),), {"__module__": "only_here"})
    monkeypatch.setitem(sys.modules, "only_here", SimpleNamespace(Foreign=foreign))
    tokenizer.__class__ = foreign
    said = StringIO()
    train = write(tmp_path / "a.jsonl", rows(60))
    found = run(tmp_path / "a", ChatTemplate.load(tokenizer), Console(file=said), train=[train], workers=2)
    assert "one process less: it could not take up the work (ModuleNotFoundError)" in said.getvalue()
    run(tmp_path / "b", train=[train], workers=1)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert len(found.train) == 57


@pytest.mark.usefixtures("small_chunks")
def test_work_that_is_done_before_others_are_ready_does_not_disturb_the_next(tmp_path: Path) -> None:
    train, held_out = write(tmp_path / "a.jsonl", rows(8)), write(tmp_path / "b.jsonl", rows(300))
    for n in (1, 4):
        run(tmp_path / str(n), train=[train], eval=[held_out], workers=n)
    assert content(tmp_path / "1") == content(tmp_path / "4")


def test_a_process_that_ends_is_named_and_none_is_left() -> None:
    crew = Workers(2)
    crew._all[0].process.kill()
    with pytest.raises(RunError, match=r"ended \(exit code -9\).*data\.workers"):
        crew._all[0].ask(b"").result()
    crew.close()
    assert all(worker.process.returncode is not None for worker in crew._all)


def test_a_process_that_ends_at_work_is_noticed() -> None:
    """Also while another message waits for it: here one that it never reads, longer than a pipe holds."""
    crew = Workers(1)
    helper = crew._all[0]
    os.kill(helper.process.pid, signal.SIGSTOP)
    asked = [helper.ask(bytes(8 << 20)), helper.ask(b"")]
    assert helper.busy() == 2
    helper.process.kill()
    for answer in asked:
        with pytest.raises(RunError, match=r"ended \(exit code -9\)"):
            answer.result(timeout=60)
    assert helper.busy() == 0
    crew.close()


def test_small_data_is_not_worth_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(Workers, "__init__", started)
    found = run(tmp_path, train=[write(tmp_path / "a.jsonl", rows(20))])
    assert len(found.train) == 19


def test_the_heap_is_looked_through_again_once_all_rows_are_done() -> None:
    before = gc.get_freeze_count()
    with RowStream(1):
        assert before or gc.get_freeze_count() > 1000
    assert gc.get_freeze_count() == before


def test_a_heap_that_somebody_else_froze_stays_frozen() -> None:
    gc.freeze()
    try:
        with RowStream(1), RowStream(1):
            pass
        assert gc.get_freeze_count() > 1000
    finally:
        gc.unfreeze()
