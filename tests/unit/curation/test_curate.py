"""A curation from raw files to its run folder: every row is accounted for, and what comes out is what was asked for."""

import json
from pathlib import Path

import pytest
from tests.curating import ADVICE, MAIL, PHONE, SECRETS, Watching, contents, made, qa, rows_in, write

from medicalgpt.curation.corpus import Corpus
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.split import group_key
from medicalgpt.errors import ConfigError, DataError, RunError
from medicalgpt.runs import manifest


def source(path: Path, **more: object) -> dict[str, object]:
    return {"rows": {"paths": [str(path)], **more}}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    rows = [qa(n) for n in range(30)]
    rows += [{**qa(0), "question": qa(0)["question"].replace("，", " , ")}]  # the same text
    rows += [{**qa(1), "answer": qa(1)["answer"].replace("清淡饮食", "饮食清淡")}]  # nearly
    rows += [{"question": qa(2)["question"], "answer": "这是另一位医生的回答，" + ADVICE}]  # asked again
    rows += [{"question": "头痛三天了怎么办？", "answer": "无"}]
    rows += [qa(100, f"我的电话是{PHONE}，邮箱：{MAIL}。")]
    return write(tmp_path / "raw.jsonl", rows)


def test_every_row_ends_in_the_ledger_with_its_reason(raw: Path, tmp_path: Path) -> None:
    folder = made(source(raw), tmp_path / "out")
    ledger = manifest.read(folder).ledger
    assert ledger["rows"] == 35
    assert ledger["kept"] == 32
    assert ledger["reasons"] == {
        "dropped: duplicate: its text stood before": 1,
        "dropped: duplicate: nearly the text of a row that is not shorter": 1,
        "dropped: quality: empty or copied answer": 1,
    }
    report = Corpus(folder).report
    assert report["duplicates"]["same_question_kept"] == 1  # type: ignore[index]
    assert report["personal_data"]["found"] == {"rows": {"email": 1, "phone": 1}}  # type: ignore[index]
    assert len(rows_in(folder / "train")) == 32


def test_questions_that_come_again_may_go(raw: Path, tmp_path: Path) -> None:
    folder = made(source(raw), tmp_path / "out", "duplicates.questions=drop")
    reasons = manifest.read(folder).ledger["reasons"]
    # The nearly equal row asks the same, too, and is looked at earlier by its question.
    assert reasons["dropped: duplicate: its question stood before, with another answer"] == 2


def test_nothing_unmasked_is_written_anywhere(raw: Path, tmp_path: Path) -> None:
    watching = Watching(tmp_path / "out", SECRETS)
    folder = made(source(raw), tmp_path / "out", executor=watching)
    assert watching.looked > 10
    assert watching.found == []
    assert not (folder / ".work").exists()
    assert not [f for f in folder.rglob("*") if f.is_file() and any(s.encode() in f.read_bytes() for s in SECRETS)]
    assert any("[电话1]" in row["messages"][0]["content"] for row in rows_in(folder / "train"))


def test_a_review_is_for_its_owner_alone(raw: Path, tmp_path: Path) -> None:
    review = tmp_path / "review.jsonl"
    made(source(raw), tmp_path / "out", review=review)
    assert review.stat().st_mode & 0o777 == 0o600
    (line,) = [json.loads(line) for line in review.read_text(encoding="utf-8").splitlines()]
    assert line["row"] == 35
    assert {value for _, value in line["found"]} == set(SECRETS)
    with pytest.raises(DataError, match="exists; a review is written into a new file"):
        made(source(raw), tmp_path / "other", review=review)


def test_the_same_again_does_nothing_and_other_settings_are_refused(raw: Path, tmp_path: Path) -> None:
    folder = made(source(raw), tmp_path / "out")
    before, said = contents(folder), []
    assert made(source(raw), tmp_path / "out", "scale.shard_rows=3", say=said.append) == folder
    assert said == [f"{folder} is finished already; nothing to do"]
    assert contents(folder) == before
    with pytest.raises(RunError, match=r"another configuration \(different: quality.min_chars\)"):
        made(source(raw), tmp_path / "out", "quality.min_chars=11")


def test_no_number_depends_on_how_the_work_is_spread(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medicalgpt.curation.plan._SMALL", 10)  # every file is cut
    words = ("held_out.fraction=0.2",)
    whole = contents(made(source(raw), tmp_path / "a", *words))
    spread = ("scale.shard_rows=4", "scale.partitions=5", "scale.workers=2")
    assert contents(made(source(raw), tmp_path / "b", *words, *spread)) == whole


def test_rows_of_every_kind_come_back_as_they_were(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "你是医生。"},
        {"role": "user", "content": "我发烧三天了，体温最高三十九度，怎么办？", "weight": 0.0},
        {"role": "assistant", "content": "先量体温，再看有没有其他症状。", "weight": 0.5},
    ]
    tool = {"type": "function", "function": {"name": "dose", "description": "剂量", "parameters": {"type": "object"}}}
    call = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"function": {"name": "dose", "arguments": {"drug": "布洛芬"}}}],
    }
    dialogue = [*turns, {"role": "user", "content": "吃多少布洛芬？"}, call, {"role": "tool", "content": "每次一片"}]
    rows: dict[str, dict[str, object]] = {
        "dialogue": {
            "messages": [*dialogue, {"role": "assistant", "content": "每次一片，一天不超过三次。"}],
            "tools": [tool],
        },
        "document": {"text": "发热是指体温升高超过正常范围。", "weight": 0.5},
        "preference": {
            "prompt": "发烧三天怎么办？",
            "chosen": "多喝水，必要时就医。",
            "rejected": "不用管它，会自己好。",
        },
        "feedback": {"prompt": "头痛应该怎么办？", "completion": "注意休息，避免熬夜。", "label": True},
    }
    write(tmp_path / "raw.jsonl", rows.values())
    words = ("quality.min_chars=0", "personal_data.enabled=false")
    folder = made(source(tmp_path / "raw.jsonl"), tmp_path / "out", *words)
    assert Corpus(folder).report["personal_data"] == {"looked_for": False}
    for kind, row in rows.items():
        (first,) = read([write(tmp_path / f"{kind}.jsonl", [row])], kind, ledger=Ledger())  # type: ignore[arg-type]
        (second,) = read([folder / "train" / kind], kind, ledger=Ledger())  # type: ignore[arg-type]
        assert {f: v for f, v in _fields(first).items() if f != "source"} == {
            f: v for f, v in _fields(second).items() if f != "source"
        }
        if kind == "dialogue":
            weights = [m.weight for m in second.messages]  # type: ignore[union-attr]
            assert weights == [m.weight for m in first.messages]  # type: ignore[union-attr]


def _fields(record: object) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__slots__}  # type: ignore[attr-defined]


def test_held_out_rows_ask_what_no_other_row_asks(tmp_path: Path) -> None:
    rows = [qa(n) for n in range(40)] + [{**qa(n), "answer": f"另一种回答{n}：" + ADVICE} for n in range(40)]
    words = ("held_out.fraction=0.25", "duplicates.near=false")
    folder = made(source(write(tmp_path / "raw.jsonl", rows)), tmp_path / "out", *words)
    sides = [
        {group_key(record) for record in read([folder / side], "dialogue", ledger=Ledger())}
        for side in ("train", "held_out")
    ]
    assert not sides[0] & sides[1]
    assert [len(side) for side in sides] == [30, 10]
    assert manifest.read(folder).ledger["reasons"]["kept: held out"] == 20


def test_bad_rows_stop_the_run_or_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "raw.jsonl", [*(qa(n) for n in range(9)), {"question": PHONE}])
    with pytest.raises(DataError, match=r"raw\.jsonl:10: .*answer.*; allowed: ") as stopped:
        made(source(path), tmp_path / "a")
    assert PHONE not in str(stopped.value)
    with pytest.raises(DataError, match=r"1 of 10 rows read are bad \(10\.0%\), allowed are 5\.0%"):
        made(source(path), tmp_path / "b", "on_bad_row=drop")
    folder = made(source(path), tmp_path / "c", "on_bad_row=drop", "max_bad_share=0.1")
    ledger = manifest.read(folder).ledger
    assert (ledger["rows"], ledger["kept"], ledger["dropped"]) == (10, 9, 1)


def test_nothing_left_is_said_with_the_reasons(tmp_path: Path) -> None:
    path = write(tmp_path / "raw.jsonl", [{"question": "我头痛三天了怎么办才好呢？", "answer": "无"}])
    with pytest.raises(DataError, match="no row is left: 1 × quality: empty or copied answer"):
        made(source(path), tmp_path / "out")


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("personal_data.operator=surrogate", "operator surrogate needs key_file"),
        ("duplicates.bands=200", r"bands × band_rows is 800; at most 256"),
        ("sources.rows.share=0.5", r"every source has a share, and together they make 0\.5"),
        ("contamination.tests=[cmexan]", "no test or suite is called 'cmexan'.*did you mean 'cmexam'"),
        ("personal_data.detectors=[paterns]", "detectors came as 'paterns'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_read(
    word: str, problem: str, raw: Path, tmp_path: Path
) -> None:
    (tmp_path / "tests").mkdir()
    with pytest.raises(ConfigError, match=problem):
        made(source(raw), tmp_path / "out", f"contamination.folder={tmp_path / 'tests'}", word)
    assert not (tmp_path / "out").exists()


def test_surrogates_need_a_secret_key_and_are_the_same_again(raw: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"0123456789abcdef")
    words = ("personal_data.operator=surrogate", f"personal_data.key_file={key}")
    first = made(source(raw), tmp_path / "a", *words)
    assert contents(first) == contents(made(source(raw), tmp_path / "b", *words))
    assert not any(secret in json.dumps(rows_in(first / "train")) for secret in SECRETS)
    key.write_bytes(b"another secret of bytes")
    with pytest.raises(RunError, match="the settings are the same, but not: base"):
        made(source(raw), tmp_path / "a", *words)
    short = tmp_path / "short"
    short.write_bytes(b"123")
    with pytest.raises(ConfigError, match="3 bytes came"):
        made(source(raw), tmp_path / "c", words[0], f"personal_data.key_file={short}")
