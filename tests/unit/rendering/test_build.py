"""From files to token stores: the held-out split, the cache, the ledger, replay and bad rows."""

import errno
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import tiny_tokenizer

from medicalgpt.config.sections import DataConfig
from medicalgpt.data.fingerprint import Content
from medicalgpt.data.ledger import warning_lines
from medicalgpt.data.records import Kind, Record
from medicalgpt.data.rows import RawRow, Row, parsed
from medicalgpt.errors import DataError, RenderError, RunError
from medicalgpt.rendering import row_work
from medicalgpt.rendering.build import BUILD, Prepared, Renderer, prepare, replay_choice
from medicalgpt.rendering.filling import Filling
from medicalgpt.rendering.first_rows import FirstRows, read_first_rows
from medicalgpt.rendering.rows import TrainOn
from medicalgpt.rendering.store import TreeStore
from medicalgpt.rendering.template import ChatTemplate

BAD_TEXT = "An <|im_end|> answer that spells a special token."


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def questions(count: int, answer: str = "Answer") -> list[dict[str, Any]]:
    return [{"question": f"Question number {i}?", "answer": f"{answer} {i}."} for i in range(count)]


def run(folder: Path, kind: Kind = "dialogue", seed: int = 1, train_on: TrainOn = "assistant", **data: Any) -> Prepared:
    config = DataConfig(**{"max_tokens": 256, **data})
    template = ChatTemplate.load(tiny_tokenizer(), config.template)
    return prepare(config, kind, template, folder / "cache", seed, train_on)


def texts(store: TreeStore | None) -> list[str]:
    assert store is not None
    return [tiny_tokenizer().decode(tree.path(0)[0]) for tree in store]


# -- the held-out split --------------------------------------------------------------------------------------------


def test_rows_that_ask_the_same_stay_on_one_side(tmp_path: Path) -> None:
    """Three wordings of each question differ in case and punctuation; a split by rows would leak them."""
    rows = [
        {"question": form.format(i), "answer": f"Answer {i} of {n}."}
        for n, form in enumerate(("Question number {}?", "question number {}", "QUESTION  NUMBER {} !"))
        for i in range(20)
    ]
    found = run(tmp_path, train=[write(tmp_path / "a.jsonl", rows)], eval_fraction=0.2)

    def asked(store: TreeStore | None) -> set[str]:
        return {t.split("Answer ")[1].split(" of")[0] for t in texts(store)}

    assert len(found.train) == 48
    assert len(texts(found.held_out)) == 12
    assert len(asked(found.held_out)) == 4  # a fifth of twenty questions, each in its three wordings
    assert not asked(found.train) & asked(found.held_out)


def test_another_seed_holds_out_other_questions(tmp_path: Path) -> None:
    train = [write(tmp_path / "a.jsonl", questions(40))]
    chosen = [texts(run(tmp_path, train=train, seed=s).held_out) for s in (1, 1, 2)]
    assert chosen[0] == chosen[1] != chosen[2]


def test_no_held_out_set_on_request_or_for_want_of_questions(tmp_path: Path) -> None:
    train = [write(tmp_path / "a.jsonl", questions(10))]
    assert run(tmp_path, train=train, eval_fraction=0).held_out is None
    same = run(tmp_path, train=[write(tmp_path / "b.jsonl", questions(1) * 5)])
    assert (same.held_out, len(same.train)) == (None, 5)
    assert "nothing can be held out" in same.notes[0]


def test_a_held_out_file_of_the_users(tmp_path: Path) -> None:
    train = [write(tmp_path / "a.jsonl", questions(10))]
    clean = run(tmp_path, train=train, eval=[write(tmp_path / "b.jsonl", [{"question": "Else?", "answer": "Yes."}])])
    assert (len(clean.train), len(texts(clean.held_out)), clean.notes) == (10, 1, [])
    leaking = run(tmp_path, train=train, eval=[write(tmp_path / "c.jsonl", questions(3, "Other"))])
    assert len(texts(leaking.held_out)) == 3
    assert leaking.notes[0].startswith("warning: 3 held-out questions or documents also stand in data.train")


# -- the cache -----------------------------------------------------------------------------------------------------


def test_the_same_content_is_rendered_once(tmp_path: Path) -> None:
    first = run(tmp_path, train=[write(tmp_path / "a.jsonl", questions(10))])
    (tmp_path / "moved").mkdir()
    again = run(tmp_path, train=[write(tmp_path / "moved" / "a.jsonl", questions(10))])
    assert (first.cached, again.cached) == (False, True)
    assert again.train.folder == first.train.folder
    assert again.hashes == first.hashes
    assert again.ledger == json.loads(json.dumps(first.ledger).replace("/a.jsonl", "/moved/a.jsonl"))
    assert texts(again.train) == texts(first.train)


def test_a_name_that_is_a_part_of_another_is_moved_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("b", "data"):
        Path(folder).mkdir()
    write(tmp_path / "a.jsonl", questions(10))
    write(tmp_path / "data" / "a.jsonl", questions(10, "answer"))
    first = run(tmp_path, train=["a.jsonl", "data/a.jsonl"])
    Path("a.jsonl").rename("b/a.jsonl")
    again = run(tmp_path, train=["b/a.jsonl", "data/a.jsonl"])
    assert again.cached
    assert first.ledger["files"].keys() == {"a.jsonl", "data/a.jsonl"}
    assert again.ledger["files"].keys() == {"b/a.jsonl", "data/a.jsonl"}


CHANGES: dict[str, dict[str, Any]] = {
    "template": {"template": "chatml"},
    "limit": {"max_tokens": 255},
    "system": {"system": "Be brief."},
    "split": {"eval_fraction": 0.1},
    "seed": {"seed": 2},
    "trained turns": {"train_on": "last"},
    "over-length": {"over_length": "drop"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_anything_that_matters_renders_anew(tmp_path: Path, change: str) -> None:
    train = [write(tmp_path / "a.jsonl", questions(10))]
    folder = run(tmp_path, train=train).train.folder
    changed = run(tmp_path, train=train, **CHANGES[change])
    assert not changed.cached
    assert changed.train.folder != folder


def test_another_row_renders_anew(tmp_path: Path) -> None:
    first = run(tmp_path, train=[write(tmp_path / "a.jsonl", questions(10))])
    other = run(tmp_path, train=[write(tmp_path / "a.jsonl", questions(10, "answer"))])
    assert not other.cached
    assert first.hashes["data"] != other.hashes["data"]
    assert "answer 3." in "".join(texts(other.train) + texts(other.held_out))


def test_an_interrupted_build_is_built_again(tmp_path: Path) -> None:
    """The ledger comes last: stores without it are not taken for a finished build."""
    train = [write(tmp_path / "a.jsonl", questions(10))]
    first = run(tmp_path, train=train)
    (first.train.folder.parent / "ledger.json").unlink()
    again = run(tmp_path, train=train)
    assert not again.cached
    assert texts(again.train) == texts(first.train)
    assert not list((tmp_path / "cache" / "tokens").glob(".build-*"))


def test_files_that_are_not_read_stand_in_the_ledger_as_they_lie_now(tmp_path: Path) -> None:
    ward = tmp_path / "ward [a]"
    ward.mkdir()
    write(ward / "a.jsonl", questions(10))
    assert run(tmp_path, train=[str(ward)]).ledger["skipped"] == {}
    (ward / "scan.dcm").write_bytes(b"x")
    (ward / "README.md").write_text("What the rows are.")
    again = run(tmp_path, train=[str(ward)])
    assert again.cached
    assert again.ledger["skipped"] == {
        str(ward): {".dcm": 1, "README.md (a description; named by itself it is read)": 1}
    }


def test_an_empty_file_of_a_folder_stands_in_the_ledger_of_cached_stores_as_well(tmp_path: Path) -> None:
    ward = tmp_path / "ward"
    ward.mkdir()
    write(ward / "a.jsonl", questions(10))
    (ward / "b.jsonl").write_text("\n")
    for cached in (False, True):
        found = run(tmp_path, train=[str(ward)])
        assert found.cached == cached
        assert found.ledger["files"][str(ward / "b.jsonl")] == {"rows": 0}
        assert warning_lines(found.ledger) == [
            f"  warning: {ward / 'b.jsonl'}: the file is empty: it has no rows; the other files are read"
        ]
    with pytest.raises(DataError, match=r"b\.jsonl: the file is empty"):
        run(tmp_path, train=[str(ward / "b.jsonl")])


def test_the_ledger_of_cached_stores_names_the_files_that_were_given(tmp_path: Path) -> None:
    """Stores are found by content: a manifest named the folder in which the same rows once lay, another project's maybe."""
    first, then = tmp_path / "a", tmp_path / "b"
    for ward in (first, then):
        ward.mkdir()
        write(ward / "x.jsonl", questions(20))
        write(ward / "y.jsonl", [*questions(4, "Another"), {"question": "nothing else"}])
    given = {"eval_fraction": 0.5, "on_bad_row": "drop", "max_bad_share": 0.5}
    before = run(tmp_path, train=[str(first)], **given)
    again = run(tmp_path, train=[str(then)], **given)
    assert again.cached
    assert str(first) in json.dumps(before.ledger)
    assert str(first) not in json.dumps([again.ledger, again.notes])
    assert sorted(again.ledger["files"]) == [str(then / "x.jsonl"), str(then / "y.jsonl")]
    assert json.loads(json.dumps(before.ledger).replace(str(first), str(then))) == again.ledger


def test_the_keys_of_reading_reach_every_file(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_bytes(
            f"Fièvre à 39 °C, dossier {name}.\nÂgé de 60 ans, dossier {name}.\n".encode("cp1252")
        )
    paths = {key: [str(tmp_path / f"{name}.txt")] for key, name in (("train", "a"), ("eval", "b"), ("replay", "c"))}
    with pytest.raises(DataError, match=r"data\.encoding="):
        run(tmp_path, "document", **paths)
    found = run(tmp_path, "document", **paths, encoding="cp1252", txt="line")
    assert texts(found.held_out)[1].endswith(">Âgé de 60 ans, dossier b.txt.<|endoftext|>")
    assert found.ledger["rows"] == found.ledger["kept"] == 6


@pytest.mark.parametrize("change", ["more", "same bytes again", "another file", "gone"])
def test_data_that_changes_while_it_is_read_is_not_cached(
    tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward = tmp_path / "ward"
    ward.mkdir()
    file = Path(write(ward / "a.jsonl", questions(10)))
    whole = file.read_bytes()
    render = Renderer.render

    def changing(self: Renderer, record: Record, encoded: Any = None) -> Any:
        if record.source.row == 5:
            match change:
                case "more":
                    write(file, questions(11))
                case "same bytes again":
                    file.unlink()
                    file.write_bytes(whole)
                case "another file":
                    write(ward / "b.jsonl", questions(2))
                case "gone":
                    file.unlink()
        return render(self, record, encoded)

    monkeypatch.setattr(Renderer, "render", changing)
    with pytest.raises(DataError, match=r"changed while it was read|holds no data file"):
        run(tmp_path, train=[str(ward)])
    monkeypatch.undo()
    assert not list((tmp_path / "cache").rglob("store.json"))
    if change != "gone":
        assert not run(tmp_path, train=[str(ward)]).cached


@pytest.mark.parametrize("error", [RunError("no room"), KeyboardInterrupt()])
def test_an_error_does_not_wait_for_the_data_to_be_read_once_more(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = threading.Event(), []

    def check(self: Content, unwanted: Callable[[], bool]) -> None:
        begun.set()
        while not unwanted():
            time.sleep(0.001)
        ended.append(self)

    def divide(self: Filling) -> None:
        assert begun.wait(60)
        raise error

    monkeypatch.setattr(Content, "check", check)
    monkeypatch.setattr(Filling, "divide", divide)
    with pytest.raises(type(error)):
        run(tmp_path, train=[write(tmp_path / "a.jsonl", questions(5))])
    assert len(ended) == 1
    assert not list((tmp_path / "cache").rglob("store.json"))


def test_reading_data_once_more_stops_when_it_is_not_wanted(tmp_path: Path) -> None:
    content = Content.of([write(tmp_path / "a.jsonl", questions(5))])
    content.check()
    with pytest.raises(CancelledError):
        content.check(lambda: True)


@pytest.mark.parametrize("kind", ["dialogue", "preference"])
def test_rows_are_parsed_once_and_held_out_ones_found_again(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is held out is known only after all were rendered; of the held-out rows the first ones are looked up for samples."""
    rows = (
        questions(200) if kind == "dialogue" else [{**q, "chosen": "Rest.", "rejected": "Run."} for q in questions(200)]
    )
    lines = [json.dumps(row) for row in rows]
    lines[50:50] = ["", "   "]  # row numbers are those of lines
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    seen: list[int] = []

    def counted(row: RawRow) -> Row:
        found = parsed(row)
        seen.append(found.number)
        return found

    monkeypatch.setattr(row_work, "parsed", counted)
    found = run(tmp_path, kind, train=[str(file)], eval_fraction=0.2)
    assert sorted(seen) == [n for n in range(1, 203) if n not in (51, 52)]
    assert found.held_out is not None
    held = [tree.source.row for tree in found.held_out]
    assert len(held) == 40
    assert held == sorted(held)
    assert {tree.source.row for tree in found.train} == set(seen) - set(held)
    assert [prompt.source.row for prompt in found.first_rows.prompts] == held
    again = read_first_rows(DataConfig(train=[str(file)], eval_fraction=0.2), kind, 1)
    assert found.first_rows == again


# -- the ledger and bad rows ---------------------------------------------------------------------------------------


def tokens_folder(folder: Path) -> list[str]:
    return sorted(p.name for p in (folder / "cache" / "tokens").iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("name", ["ids.bin", "weights.bin"])
def test_a_full_cache_is_one_message_and_leaves_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    rows, real = [write(tmp_path / "a.jsonl", questions(20))], Path.open

    def full(self: Path, *words: Any, **named: Any) -> Any:
        return real(Path("/dev/full") if self.name == name else self, *words, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(RunError, match=r"the token store .* could not be written to .*: the disk is full") as found:
            run(tmp_path, train=rows)
    assert "MEDICALGPT_CACHE" in str(found.value)
    assert tokens_folder(tmp_path) == []
    assert capfd.readouterr().err == "", "files that are closed later complain on their own"
    assert len(run(tmp_path, train=rows).train) == 19


def test_a_quota_that_is_used_up_while_the_stores_are_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    rows = [write(tmp_path / "a.jsonl", questions(20))]
    with monkeypatch.context() as patch:
        patch.setattr(FirstRows, "save", refuse)
        with pytest.raises(RunError, match=r"could not be written to .*: your quota is used up"):
            run(tmp_path, train=rows)
    found = run(tmp_path, train=rows)
    assert (len(found.train), found.cached) == (19, False)


def test_what_a_killed_build_left_goes_at_the_next_start(tmp_path: Path) -> None:
    killed = f"""
import os, signal
from pathlib import Path
from medicalgpt.disk.scratch import scratch
with scratch(Path({str(tmp_path / "cache" / "tokens")!r}), {BUILD!r}) as folder:
    (folder / "train").mkdir()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    (tmp_path / "cache" / "tokens").mkdir(parents=True)
    subprocess.run([sys.executable, "-c", killed], check=False)
    assert [name.startswith(BUILD) for name in tokens_folder(tmp_path)] == [True]
    run(tmp_path, train=[write(tmp_path / "a.jsonl", questions(20))])
    assert [name.startswith(BUILD) for name in tokens_folder(tmp_path)] == [False]


def test_the_ledger_adds_up(tmp_path: Path) -> None:
    long = " ".join(["fever"] * 200)
    rows = [
        *questions(10),
        {"question": long, "answer": "Call a doctor."},  # truncated
        {"question": "Why?", "answer": long},  # dropped: the answer alone is too long
        {"question": "No answer?", "answer": " \n"},  # dropped: a blank answer
        {"question": "Special?", "answer": BAD_TEXT},  # dropped: cannot be rendered
    ]
    data = {"train": [write(tmp_path / "a.jsonl", rows)], "max_tokens": 96, "on_bad_row": "drop", "max_bad_share": 0.5}
    found = run(tmp_path, **data)
    ledger = found.ledger
    assert {k: ledger[k] for k in ("rows", "kept", "truncated", "split", "dropped")} == {
        "rows": 14,
        "kept": 10,
        "truncated": 1,
        "split": 0,
        "dropped": 3,
    }
    assert len(found.train) + len(texts(found.held_out)) == 11
    assert ledger["reasons"] == {
        "dropped: answer and template alone are longer than 96 tokens": 1,
        "dropped: answer is blank": 1,
        "dropped: cannot be rendered: RenderError": 1,
    }
    assert run(tmp_path, **data).ledger == ledger  # from the cache as well


def test_the_first_bad_row_stops_with_its_place(tmp_path: Path) -> None:
    train = [write(tmp_path / "a.jsonl", [*questions(3), {"question": "Special?", "answer": BAD_TEXT}])]
    with pytest.raises(
        RenderError, match=r"a\.jsonl:4: .*special token '<\|im_end\|>'.*data\.on_bad_row=drop"
    ) as caught:
        run(tmp_path, train=train)
    assert "answer that spells" not in str(caught.value)
    assert not list((tmp_path / "cache" / "tokens").glob("*/train"))
    blank = [write(tmp_path / "b.jsonl", [*questions(3), {"question": "Blank?", "answer": "  "}])]
    with pytest.raises(DataError, match=r"b\.jsonl:4: answer is blank"):
        run(tmp_path, train=blank)


def test_too_many_bad_rows_stop_even_when_dropping(tmp_path: Path) -> None:
    rows = [*questions(9), {"question": "Special?", "answer": BAD_TEXT}]
    data = {"train": [write(tmp_path / "a.jsonl", rows)], "on_bad_row": "drop"}
    with pytest.raises(DataError, match=r"1 of 10 rows are bad \(10\.0%\), more than data\.max_bad_share=5%"):
        run(tmp_path, **data)
    assert run(tmp_path, **data, max_bad_share=0.1).ledger["dropped"] == 1


def test_blank_and_unrenderable_rows_count_together(tmp_path: Path) -> None:
    rows = [*questions(18), {"question": "Blank?", "answer": " "}, {"question": "Special?", "answer": BAD_TEXT}]
    data = {"train": [write(tmp_path / "a.jsonl", rows)], "on_bad_row": "drop"}
    said = r"2 of 20 rows are bad .*: 1 × dropped: .*; 1 × dropped: [^{}]*$"
    with pytest.raises(DataError, match=said):  # each kind alone is 5 %, which is allowed
        run(tmp_path, **data, max_bad_share=0.05)


def test_rows_that_are_too_long_are_not_bad_rows(tmp_path: Path) -> None:
    rows = questions(2) + [{"question": f"Why {i}?", "answer": " ".join(["fever"] * 200)} for i in range(5)]
    found = run(tmp_path, train=[write(tmp_path / "a.jsonl", rows)], max_tokens=96, eval_fraction=0)
    assert (found.ledger["kept"], found.ledger["dropped"]) == (2, 5)


def test_nothing_left_to_train_on(tmp_path: Path) -> None:
    rows = [{"question": f"Why {i}?", "answer": " ".join(["fever"] * 200)} for i in range(3)]
    with pytest.raises(DataError, match=r"no row of data\.train is left to train on: .*longer than 96 tokens"):
        run(tmp_path, train=[write(tmp_path / "a.jsonl", rows)], max_tokens=96)


# -- what is rendered ----------------------------------------------------------------------------------------------


def test_the_configured_system_message_goes_before_rows_that_have_none(tmp_path: Path) -> None:
    own = {
        "messages": [
            {"role": "system", "content": "Mine."},
            *({"role": r, "content": r} for r in ("user", "assistant")),
        ]
    }
    train = [write(tmp_path / "a.jsonl", [*questions(1), own])]
    plain, kept = texts(run(tmp_path, train=train, system="Be brief.", eval_fraction=0).train)
    assert plain.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nQuestion")
    assert kept.startswith("<|im_start|>system\nMine.<|im_end|>\n<|im_start|>user\nuser")


def test_preferences_get_the_system_message_too(tmp_path: Path) -> None:
    rows = [{"prompt": f"Question {i}?", "chosen": "Yes.", "rejected": "No."} for i in range(4)]
    found = run(
        tmp_path, "preference", train=[write(tmp_path / "a.jsonl", rows)], system="Be brief.", eval_fraction=0.25
    )
    assert (len(found.train), len(texts(found.held_out))) == (3, 1)
    for tree in found.train:
        assert len(tree.leaves) == 2
        assert tiny_tokenizer().decode(tree.segments[0].ids).startswith("<|im_start|>system\nBe brief.")


# -- replay --------------------------------------------------------------------------------------------------------


def documents(count: int, word: str) -> list[dict[str, Any]]:
    return [{"text": f"{word} {i} " + "fever " * (5 + i % 7)} for i in range(count)]


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_replay_is_the_wanted_share_within_one_tree(tmp_path: Path, share: float) -> None:
    found = run(
        tmp_path,
        "document",
        train=[write(tmp_path / "a.jsonl", documents(60, "medical"))],
        replay=[write(tmp_path / "b.jsonl", documents(20, "general"))],
        eval_fraction=0,
    )
    assert found.replay is not None
    assert "replay" in found.hashes
    assert found.ledger["rows"] == 80
    chosen = replay_choice(found.train, found.replay, share, seed=1)
    tokens, ours = int(found.replay.lengths[chosen].sum()), int(found.train.lengths.sum())
    longest = int(found.replay.lengths.max())
    assert (tokens - longest) / (tokens - longest + ours) < share <= tokens / (tokens + ours)
    counts = [chosen.tolist().count(i) for i in range(20)]
    assert max(counts) - min(counts) <= 1  # nothing comes again before all has come
    assert replay_choice(found.train, found.replay, share, seed=1).tolist() == chosen.tolist()
    assert replay_choice(found.train, found.replay, share, seed=2).tolist() != chosen.tolist()


def test_no_replay_without_a_share(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        "document",
        train=[write(tmp_path / "a.jsonl", documents(10, "medical"))],
        replay=[write(tmp_path / "b.jsonl", documents(5, "general"))],
    )
    assert found.replay is not None
    assert not len(replay_choice(found.train, found.replay, 0.0, seed=1))


# -- feedback ------------------------------------------------------------------------------------------------------


def test_pairs_are_taken_apart_and_stay_on_one_side(tmp_path: Path) -> None:
    """Pairs and single verdicts on the same questions: each row ends once in the ledger, no question stands on both sides."""
    pairs = [{"prompt": f"Question {i}?", "chosen": f"Yes {i}.", "rejected": f"No {i}."} for i in range(10)]
    single = [{"prompt": f"question {i}", "completion": f"Maybe {i}.", "label": i < 7} for i in range(10)]
    found = run(tmp_path, "feedback", train=[write(tmp_path / "a.jsonl", [*pairs, *single])], eval_fraction=0.2)
    assert {k: found.ledger[k] for k in ("rows", "kept", "split", "dropped")} == {
        "rows": 20,
        "kept": 10,
        "split": 10,
        "dropped": 0,
    }
    assert found.held_out is not None
    assert (len(found.train), len(found.held_out)) == (24, 6)
    asked = [{t.split("uestion ")[1][0] for t in texts(store)} for store in (found.train, found.held_out)]
    assert not asked[0] & asked[1]
    by_hand = {"Yes": True, "No": False}
    for tree in found.train:
        word = tiny_tokenizer().decode(tree.segments[1].ids).split()[0]
        number = int(tiny_tokenizer().decode(tree.segments[0].ids).split("uestion ")[1][0])
        assert tree.desirable == by_hand.get(word, number < 7)
    good, bad = found.train.verdicts
    assert good + bad == 24


# -- passages of long documents ------------------------------------------------------------------------------------


def test_passages_of_a_long_document_are_held_out_without_a_leak(tmp_path: Path) -> None:
    paragraphs = [f"Paragraph {i}: the pulse of case {7 * i} was {60 + i % 40} a minute.\n\n" for i in range(700)]
    book, leaflet = tmp_path / "book.txt", tmp_path / "leaflet.txt"
    book.write_text("".join(paragraphs), encoding="utf-8")
    leaflet.write_text("Drink enough and rest.", encoding="utf-8")
    found = run(tmp_path, "document", train=[str(book), str(leaflet)])
    assert "passages of a long document are held out" in found.notes[0]
    said = found.ledger["held_out"]
    assert list(said["files"]) == [str(book)]
    assert said["files"][str(book)]["of"] == len(book.read_text(encoding="utf-8"))
    assert 0.025 < said["share"] < 0.1
    assert found.ledger["files"][str(book)] == {"rows": 1, "split": 1}
    tokenizer = tiny_tokenizer()
    start, end = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"])
    sides, whole = {}, 0
    for name, store in (("train", found.train), ("held_out", found.held_out)):
        assert store is not None
        trained = [i for tree in store for i in tree.path(0)[0][1:].tolist()]
        sides[name] = tokenizer.decode(trained)
        ends = [int(tree.path(0)[0][-1]) for tree in store]
        whole += ends.count(start) + ends.count(end)
    assert whole == 2  # the book's and the leaflet's: a passage behind which the text goes on has no end
    held = [p for p in paragraphs if p in sides["held_out"]]
    assert sum(map(len, held)) == said["characters"]
    assert not [p for p in held if p in sides["train"]]
    assert all(p in sides["train"] for p in paragraphs if p not in held)


def test_a_bad_passage_drops_its_document_as_a_whole(tmp_path: Path) -> None:
    lines = [f"Line {i} of a book about the pulse.\n" for i in range(600)]
    book, other = tmp_path / "a.txt", tmp_path / "b.txt"
    book.write_text("".join([*lines, BAD_TEXT]), encoding="utf-8")
    other.write_text("".join(f"Line {i} of another book.\n" for i in range(800)), encoding="utf-8")
    train = [str(book), str(other)]
    with pytest.raises(RenderError, match=f"{book}:1: the document contains the special token"):
        run(tmp_path, "document", train=train)
    found = run(tmp_path, "document", train=train, on_bad_row="drop", max_bad_share=0.5)
    assert (found.ledger["split"], found.ledger["dropped"]) == (1, 1)
    assert not any("about the pulse" in text for text in texts(found.train) + texts(found.held_out))
