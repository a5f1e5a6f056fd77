"""From files to token stores: the held-out split, the cache, the ledger, replay and bad rows."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.tiny import tiny_tokenizer

from medicalgpt.config.sections import DataConfig
from medicalgpt.data.records import Kind
from medicalgpt.errors import DataError, RenderError
from medicalgpt.rendering.build import Prepared, prepare, replay_choice
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
    assert again.ledger == first.ledger
    assert texts(again.train) == texts(first.train)


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


# -- the ledger and bad rows ---------------------------------------------------------------------------------------


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
    with pytest.raises(DataError, match="2 of 20 rows are bad"):  # each kind alone is 5 %, which is allowed
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
