"""Ratings become rows that training reads: nothing more, nothing stale."""

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.records import Feedback as Row
from medicalgpt.data.records import Message, Preference
from medicalgpt.errors import ServeError
from medicalgpt.serve.web.conversation import WebAnswer
from medicalgpt.serve.web.feedback import Feedback, Saved

PROMPT = (Message("system", "Be brief."), Message("user", "發燒怎麼辦？"))


def answer(text: str, prompt: tuple[Message, ...] = PROMPT, ending: str = "stop") -> WebAnswer:
    return WebAnswer(prompt, text, ending, model="runs/dpo")  # type: ignore[arg-type]


@pytest.fixture
def kept(tmp_path: Path) -> Feedback:
    return Feedback(tmp_path / "ratings.jsonl")


def pairs(kept: Feedback) -> list[Preference]:
    return list(read([kept.pairs], "preference", ledger=Ledger()))  # type: ignore[arg-type]


def verdicts(kept: Feedback) -> list[Row]:
    return list(read([kept.verdicts], "feedback", ledger=Ledger()))  # type: ignore[arg-type]


def test_up_and_down_on_one_question_are_a_pair(kept: Feedback) -> None:
    bad, good = answers = [answer("Wait."), answer("Drink, rest.")]
    assert kept.rate(answers, bad, False) == Saved(0, True)
    assert kept.rate(answers, good, True) == Saved(1, True)
    (pair,) = pairs(kept)
    assert pair.prompt == PROMPT
    assert (pair.chosen[0].content, pair.rejected[0].content) == ("Drink, rest.", "Wait.")
    assert [(v.prompt, v.answer[0].content, v.desirable) for v in verdicts(kept)] == [
        (PROMPT, "Wait.", False),
        (PROMPT, "Drink, rest.", True),
    ]
    row = json.loads(kept.pairs.read_text(encoding="utf-8"))
    assert row["model"] == "runs/dpo"
    assert row["answers"] == [good.id, bad.id]


def test_every_counterpart_gives_a_pair(kept: Feedback) -> None:
    answers = [answer("a"), answer("b"), answer("c"), answer("d")]
    for one in answers[:3]:
        kept.rate(answers, one, False)
    assert kept.rate(answers, answers[3], True).pairs == 3
    assert {pair.rejected[0].content for pair in pairs(kept)} == {"a", "b", "c"}


def test_equal_verdicts_equal_texts_and_other_prompts_are_no_pair(kept: Feedback) -> None:
    answers = [answer("a"), answer("b"), answer(" a "), answer("c", PROMPT[1:])]
    kept.rate(answers, answers[0], True)
    assert kept.rate(answers, answers[1], True).pairs == 0
    assert kept.rate(answers, answers[2], False).pairs == 1  # with b, not with its own words
    assert kept.rate(answers, answers[3], False).pairs == 0


def test_a_changed_mind_replaces_what_was_written(kept: Feedback) -> None:
    one, two = answers = [answer("a"), answer("b")]
    kept.rate(answers, one, False)
    kept.rate(answers, two, True)
    kept.rate(answers, one, True)
    assert kept.pairs.read_bytes() == b""
    assert [v.desirable for v in verdicts(kept)] == [True, True]
    kept.rate(answers, two, False)
    (pair,) = pairs(kept)
    assert (pair.chosen[0].content, pair.rejected[0].content) == ("a", "b")


def test_a_rating_that_is_taken_back_leaves_nothing(kept: Feedback) -> None:
    one, two = answers = [answer("a"), answer("b")]
    kept.rate(answers, one, False)
    kept.rate(answers, two, True)
    assert kept.rate(answers, two, None) == Saved(0, False)
    assert two.rating is None
    assert kept.pairs.read_bytes() == b""
    assert [v.answer[0].content for v in verdicts(kept)] == ["a"]


@pytest.mark.parametrize(
    ("text", "ending"), [("half", "stopped"), ("half", "length"), ("half", "failed"), (" ", "stop")]
)
def test_an_incomplete_answer_is_not_kept(kept: Feedback, text: str, ending: str) -> None:
    one = answer(text, ending=ending)
    assert kept.rate([one], one, True) == Saved(0, False)
    assert kept.verdicts.read_bytes() == b""


def test_new_files_are_the_users_own_and_old_rows_stay(tmp_path: Path) -> None:
    path = tmp_path / "ratings.jsonl"
    old = json.dumps({"prompt": "a", "chosen": "b", "rejected": "c"})
    path.write_text(old)  # without a line end
    path.chmod(0o640)
    kept = Feedback(path)
    answers = [answer("a"), answer("b")]
    for one, verdict in zip(answers, (True, False)):
        kept.rate(answers, one, verdict)
    assert path.read_text(encoding="utf-8").splitlines()[0] == old
    assert len(pairs(kept)) == 2
    kept.rate(answers, answers[0], None)  # the file is written anew
    assert path.read_text(encoding="utf-8") == old + "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert stat.S_IMODE(kept.verdicts.stat().st_mode) == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ratings.jsonl", "ratings.kto.jsonl"]


def test_many_hands_write_whole_lines(tmp_path: Path) -> None:
    hands = [Feedback(tmp_path / "ratings.jsonl") for _ in range(4)]  # as several processes would

    def work(number_of: int, hand: Feedback) -> None:
        for number in range(10):
            answers = [answer(f"{number_of} {number} good"), answer("bad " * 500)]
            hand.rate(answers, answers[1], False)
            hand.rate(answers, answers[0], True)
            if number % 3 == 0:
                hand.rate(answers, answers[0], None)

    threads = [threading.Thread(target=work, args=pair) for pair in enumerate(hands)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pairs(hands[0])) == 4 * 6
    assert len(verdicts(hands[0])) == 4 * (6 * 2 + 4)


def test_a_file_of_another_kind_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "dialogues.jsonl"
    row = json.dumps({"question": "a", "answer": "b"}) + "\n"
    path.write_text(row)
    with pytest.raises(ServeError, match="holds dialogue rows, here preference rows are written"):
        Feedback(path)
    path.write_text("not json\n")
    with pytest.raises(ServeError, match="is no file of preference rows"):
        Feedback(path)
    assert path.read_text() == "not json\n"


def test_places_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(ServeError, match=r"ends with \.jsonl"):
        Feedback(tmp_path / "ratings.csv")
    with pytest.raises(ServeError, match="No such file or directory"):
        Feedback(tmp_path / "gone" / "ratings.jsonl")


def test_a_rating_that_cannot_be_written_is_told_and_not_shown(kept: Feedback, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    one = answer("a")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(ServeError, match="No space left"):
            kept.rate([one], one, True)
    assert one.rating is None
    assert kept.rate([one], one, True) == Saved(0, True)
    assert len(verdicts(kept)) == 1


def test_the_next_holders_temporary_file_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Feedback(tmp_path / "ratings.jsonl")
    answers = [answer("good"), answer("bad")]
    kept.rate(answers, answers[0], True)
    replace, written = os.replace, []

    def and_the_next_one_begins(source: Path, target: Path) -> None:
        replace(source, target)
        source.write_text("of another thread")
        written.append(source)

    monkeypatch.setattr(os, "replace", and_the_next_one_begins)
    kept.rate(answers, answers[0], None)
    assert [path.read_text() for path in written] == ["of another thread"] * 2  # pairs and verdicts
