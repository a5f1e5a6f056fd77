"""First rows: how often the data is parsed, and that samples and preflight get the messages they got from the files."""

import json
import stat
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import tiny_tokenizer

from medicalgpt.config.sections import DataConfig, TrainConfig
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.records import Dialogue, Feedback, Kind, Message, Preference, Source
from medicalgpt.data.rows import open_raw_rows, open_rows
from medicalgpt.data.split import choose_eval, group_key
from medicalgpt.rendering.build import Prepared, prepare
from medicalgpt.rendering.first_rows import FILE, MOST_CONVERSATIONS, MOST_PROMPTS, FirstRows, SamplePrompt
from medicalgpt.rendering.template import ChatTemplate

SEED = 3


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def questions(count: int) -> list[dict[str, Any]]:
    return [{"question": f"Question {i}, 血壓?", "answer": f"Answer {i}.", "system": "Be kind."} for i in range(count)]


def pairs(count: int) -> list[dict[str, Any]]:
    return [{"question": f"Question {i}?", "chosen": f"Good {i}.", "rejected": f"Bad {i}."} for i in range(count)]


def verdicts(count: int) -> list[dict[str, Any]]:
    return [{"question": f"Question {i}?", "answer": f"Answer {i}.", "desirable": i % 3 == 0} for i in range(count)]


def calls(count: int) -> list[dict[str, Any]]:
    tool = {"type": "function", "function": {"name": "dose", "parameters": {"type": "object", "properties": {}}}}
    call = {"type": "function", "function": {"name": "dose", "arguments": {"kg": 17.25, "note": "½ 片"}}}
    return [
        {
            "messages": [
                {"role": "user", "content": f"Dose {i}?"},
                {"role": "assistant", "content": "", "tool_calls": [call]},
                {"role": "tool", "content": "5 ml"},
                {"role": "assistant", "content": f"5 ml for {i}."},
            ],
            "tools": [tool],
        }
        for i in range(count)
    ]


def one_file(folder: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"train": [write(folder / "a.jsonl", rows)], "eval_fraction": 0.2}


def eval_file(folder: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"train": [write(folder / "a.jsonl", rows[3:])], "eval": [write(folder / "b.jsonl", rows[:3])]}


def in_folder(folder: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    for i in range(3):
        write(folder / "many" / f"{i}.jsonl", rows[i::3])
    return {"train": [str(folder / "many")], "eval_fraction": 0.2}


def json_list(folder: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    (folder / "a.json").write_text(json.dumps(rows), encoding="utf-8")
    return {"train": [str(folder / "a.json")], "eval_fraction": 0.2}


def nothing_held_out(folder: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"train": [write(folder / "a.jsonl", rows)], "eval_fraction": 0}


INPUTS: dict[str, Any] = {
    "one file": ("dialogue", questions(30), one_file),
    "eval file": ("dialogue", questions(30), eval_file),
    "folder": ("dialogue", questions(30), in_folder),
    "json": ("dialogue", questions(30), json_list),
    "nothing held out": ("dialogue", questions(30), nothing_held_out),
    "tool calls": ("dialogue", calls(12), one_file),
    "preferences": ("preference", pairs(30), one_file),
    "preferences, eval file": ("preference", pairs(30), eval_file),
    "feedback": ("feedback", verdicts(40), one_file),
    "feedback from pairs": ("feedback", pairs(30), in_folder),
    "documents": ("document", [{"text": f"Text {i}. " * 5} for i in range(20)], one_file),
}


@pytest.fixture(params=INPUTS)
def data(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Kind, DataConfig]:
    kind, rows, put = INPUTS[request.param]
    return kind, DataConfig(**put(tmp_path, rows), max_tokens=1024)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file was opened to be cut into rows, by whoever did it."""
    count: Counter[str] = Counter()

    def counting(opener: Any) -> Any:
        def counted(path: Path, *args: Any) -> Iterator[Any]:
            count[str(path)] += 1
            return opener(path, *args)

        return counted

    for opener in (open_rows, open_raw_rows):
        for name, module in list(sys.modules.items()):
            home = name == "medicalgpt.data.rows"  # one of them may call the other
            if name.startswith("medicalgpt.") and not home and getattr(module, opener.__name__, None) is opener:
                monkeypatch.setattr(module, opener.__name__, counting(opener))
    return count


def run(folder: Path, kind: Kind, data: DataConfig) -> Prepared:
    return prepare(data, kind, ChatTemplate.load(tiny_tokenizer(), data.template), folder / "cache", SEED)


def expected_prompts(kind: Kind, data: DataConfig) -> list[SamplePrompt]:
    """As samples read them from the files before they were kept: every row again, twice."""
    if kind == "document" or not (data.eval or data.eval_fraction):
        return []

    def rows(paths: list[str]) -> list[Any]:
        return list(read(paths, kind, on_bad_row="drop", max_bad_share=1.0, ledger=Ledger()))

    if data.eval:
        held_out = rows(data.eval)
    else:
        held = choose_eval([group_key(r) for r in rows(data.train)], data.eval_fraction, SEED)
        held_out = [r for r in rows(data.train) if group_key(r) in held]
    out = []
    for record in held_out:
        if isinstance(record, Dialogue):
            last = max(i for i, m in enumerate(record.messages) if m.role == "assistant")
            out.append(SamplePrompt(record.messages[:last], record.messages[last].content, record.source))
        elif isinstance(record, Preference):
            out.append(SamplePrompt(record.prompt, record.chosen[-1].content, record.source))
        elif isinstance(record, Feedback) and record.desirable:
            out.append(SamplePrompt(record.prompt, record.answer[-1].content, record.source))
    return out


def expected_conversations(kind: Kind, data: DataConfig) -> list[tuple[Message, ...]]:
    if kind == "document":
        return []
    out: list[tuple[Message, ...]] = []
    for record in list(read(data.train, kind, ledger=Ledger()))[:8]:
        if isinstance(record, Dialogue):
            out.append(record.messages)
        elif isinstance(record, Preference):
            out.append((*record.prompt, record.chosen[0]))
        elif isinstance(record, Feedback):
            out.append((*record.prompt, record.answer[0]))
    return out


def test_data_is_parsed_twice_when_cold_and_never_when_hot(
    data: tuple[Kind, DataConfig], tmp_path: Path, parsed: Counter[str]
) -> None:
    cold = run(tmp_path, *data)
    assert not cold.cached
    assert parsed
    assert max(parsed.values()) <= 2
    parsed.clear()
    hot = run(tmp_path, *data)
    assert hot.cached
    assert parsed == {}
    assert hot.first_rows == cold.first_rows


def test_prompts_and_conversations_are_those_of_the_files(data: tuple[Kind, DataConfig], tmp_path: Path) -> None:
    prompts, conversations = expected_prompts(*data), expected_conversations(*data)
    for _ in ("cold", "hot"):
        found = run(tmp_path, *data).first_rows
        assert found.prompts == prompts
        assert found.conversations == conversations
    assert bool(prompts) == (data[0] != "document" and bool(data[1].eval or data[1].eval_fraction))


def test_a_cache_of_an_earlier_version_is_read_once_for_them(
    data: tuple[Kind, DataConfig], tmp_path: Path, parsed: Counter[str]
) -> None:
    first = run(tmp_path, *data)
    folder = first.train.folder.parent
    (folder / FILE).unlink(missing_ok=True)
    again = run(tmp_path, *data)
    assert (again.cached, again.first_rows) == (True, first.first_rows)
    parsed.clear()
    assert run(tmp_path, *data).first_rows == first.first_rows
    assert parsed == {}


@pytest.mark.parametrize("damage", ["{", "[]", '{"format": 2}', '{"format": 1, "conversations": []}', '"x"'])
def test_a_damaged_file_is_read_anew(tmp_path: Path, damage: str) -> None:
    data = DataConfig(**one_file(tmp_path, questions(20)))
    first = run(tmp_path, "dialogue", data)
    file = first.train.folder.parent / FILE
    file.write_text(damage, encoding="utf-8")
    assert run(tmp_path, "dialogue", data).first_rows == first.first_rows
    assert json.loads(file.read_text(encoding="utf-8"))["format"] == 1


def test_a_cache_that_cannot_be_written_serves_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = DataConfig(**one_file(tmp_path, questions(20)))
    first = run(tmp_path, "dialogue", data)
    (first.train.folder.parent / FILE).unlink()

    def refuse(self: FirstRows, *args: Any) -> None:
        raise PermissionError("read-only file system")

    monkeypatch.setattr(FirstRows, "save", refuse)
    assert run(tmp_path, "dialogue", data).first_rows == first.first_rows


def test_moved_files_are_named_where_they_lie(tmp_path: Path) -> None:
    """Stores are found by content; samples.jsonl must name the file that the user gave this time."""
    rows = questions(30)
    first = run(tmp_path, "dialogue", DataConfig(**in_folder(tmp_path, rows)))
    (tmp_path / "many").rename(tmp_path / "moved")
    again = run(tmp_path, "dialogue", DataConfig(train=[str(tmp_path / "moved")], eval_fraction=0.2))
    assert again.cached
    assert [s.source for s in again.first_rows.prompts] == [
        Source(s.source.file.replace("many", "moved"), s.source.row) for s in first.first_rows.prompts
    ]


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = run(tmp_path, "dialogue", DataConfig(**one_file(tmp_path, questions(20)))).train.folder.parent
    assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_no_more_is_kept_than_can_be_asked_for(tmp_path: Path) -> None:
    found = run(tmp_path, "dialogue", DataConfig(**one_file(tmp_path, questions(500)))).first_rows
    assert (len(found.conversations), len(found.prompts)) == (MOST_CONVERSATIONS, MOST_PROMPTS)
    bounds = [m.le for m in TrainConfig.model_fields["sample_count"].metadata if hasattr(m, "le")]
    assert bounds == [MOST_PROMPTS]


def test_messages_that_json_cannot_hold_are_passed_over(tmp_path: Path) -> None:
    odd = Message("assistant", "", ({"name": "dose", "arguments": {"when": {1, 2}}},))
    rows = FirstRows()
    broken = Message("assistant", "", ({"name": "dose", "arguments": {"half": "\ud83d", "none": float("inf")}},))
    for turns in ((Message("user", "?"), odd), (Message("user", "?"), broken)):
        rows.add_training(Dialogue(turns, Source("a", 1)))
        rows.add_held_out(Dialogue((*turns, Message("user", "!"), Message("assistant", "End.")), Source("a", 1)))
    assert len(rows.conversations) == len(rows.prompts) == 1
    rows.save(tmp_path, ["a"])
    assert FirstRows.load(tmp_path, ["a"]) == rows
