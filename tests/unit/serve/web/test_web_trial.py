"""Blind comparisons: nothing tells the model before the verdict, and the verdict becomes rows that training reads."""

import json
from pathlib import Path

import pytest
from tests.unit.serve.web.test_web_session import GREEDY, Script, served

from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.errors import ServeError
from medicalgpt.serve.web import export
from medicalgpt.serve.web import session as module
from medicalgpt.serve.web.feedback import Feedback
from medicalgpt.serve.web.judging import judge
from medicalgpt.serve.web.session import Session
from medicalgpt.serve.web.texts import CHINESE, ENGLISH
from medicalgpt.serve.web.trial import LETTERS, Verdict
from medicalgpt.serve.web.view import compared, messages

SAID = {"ward": "Drink, rest.", "clinic": "Wait.", "base": "fever fever"}


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0)


def comparing(folder: Path, names: list[str], said: dict[str, str] | None = None) -> Session:
    """A tab whose models `names` have answered "q", each with its own words."""
    texts = said or SAID
    models = [served(name, Script([texts[name]])) for name in SAID]
    session = Session(models, Feedback(folder / "ratings.jsonl"), ENGLISH)
    session.choose(names)
    list(session.ask("q", GREEDY))
    return session


def letter_of(session: Session, name: str) -> Verdict:
    assert session.trial is not None
    return LETTERS[[answer.model for answer in session.trial.answers].index(name)]


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_nothing_tells_the_model_before_the_verdict(tmp_path: Path) -> None:
    session = comparing(tmp_path, ["ward", "clinic", "base"])
    assert session.status == ENGLISH.judge
    shown = compared(session.trial)
    assert [text[:5] for text in shown] == ["**A**", "**B**", "**C**"]
    assert {text[7:] for text in shown} == set(SAID.values())
    everything = "".join(map(str, [*shown, messages(session.conversation, ENGLISH)]))
    saved = export.markdown(session.conversation, ENGLISH) + export.as_json(session.conversation, {}, ENGLISH)
    assert not any(name in everything + saved for name in SAID)


def test_the_order_is_by_chance(tmp_path: Path) -> None:
    orders = set()
    for number in range(60):
        (tmp_path / str(number)).mkdir()
        session = comparing(tmp_path / str(number), ["ward", "clinic"])
        assert session.trial is not None
        orders.add(tuple(answer.model for answer in session.trial.answers))
    assert orders == {("ward", "clinic"), ("clinic", "ward")}  # one of them alone: once in 2^59


def test_the_best_answer_makes_pairs_and_the_conversation_goes_on_from_it(tmp_path: Path) -> None:
    session = comparing(tmp_path, ["ward", "clinic", "base"])
    judge(session, letter_of(session, "clinic"))
    assert session.trial is None
    exchange = session.conversation.last
    assert exchange is not None
    assert exchange.answer is not None
    assert (exchange.answer.model, exchange.answer.text) == ("clinic", "Wait.")
    assert len(exchange.answers) == 3
    for name in SAID:
        assert f"{name} · 3fa9c1d20b7e" in session.status
    assert ENGLISH.judged.format(pairs=2) in session.status
    assert "clinic: 1" in session.status
    pairs = list(read([tmp_path / "ratings.jsonl"], "preference", ledger=Ledger()))
    assert {(p.chosen[0].content, p.rejected[0].content) for p in pairs} == {  # type: ignore[union-attr]
        ("Wait.", "Drink, rest."),
        ("Wait.", "fever fever"),
    }
    assert rows(tmp_path / "ratings.jsonl")[0]["models"][0] == "clinic · 3fa9c1d20b7e"  # type: ignore[index]
    assert (tmp_path / "ratings.kto.jsonl").read_bytes() == b""  # better than others is not yet good
    (row,) = rows(tmp_path / "ratings.comparisons.jsonl")
    assert {a["model"]: a["text"] for a in row["answers"]} == SAID  # type: ignore[attr-defined]
    assert (tmp_path / "ratings.comparisons.jsonl").stat().st_mode & 0o777 == 0o600


def test_thumbs_do_not_contradict_a_comparison(tmp_path: Path) -> None:
    session = comparing(tmp_path, ["ward", "clinic"])
    judge(session, letter_of(session, "ward"))
    exchange = session.conversation.last
    assert exchange is not None
    by_name = {answer.model: answer for answer in exchange.answers}
    feedback = session.feedback
    assert feedback is not None
    feedback.rate(exchange.answers, by_name["ward"], False)
    assert feedback.rate(exchange.answers, by_name["clinic"], True).pairs == 0
    feedback.rate(exchange.answers, by_name["ward"], None)
    (pair,) = rows(tmp_path / "ratings.jsonl")
    assert (pair["chosen"], pair["rejected"]) == (SAID["ward"], SAID["clinic"])


def test_none_is_good_rates_each_down_and_as_good_makes_no_row_of_training(tmp_path: Path) -> None:
    session = comparing(tmp_path, ["ward", "base"])
    judge(session, "bad")
    verdicts = list(read([tmp_path / "ratings.kto.jsonl"], "feedback", ledger=Ledger()))
    assert {(v.answer[0].content, v.desirable) for v in verdicts} == {  # type: ignore[union-attr]
        (SAID["ward"], False),
        (SAID["base"], False),
    }
    session = comparing(tmp_path, ["ward", "base"])
    judge(session, "tie")
    assert f"{ENGLISH.all_bad}: 1, {ENGLISH.tie}: 1" in session.status  # read back from the file, and one more
    assert [row["verdict"] for row in rows(tmp_path / "ratings.comparisons.jsonl")] == ["bad", "tie"]
    assert len(rows(tmp_path / "ratings.kto.jsonl")) == 2
    assert (tmp_path / "ratings.jsonl").read_bytes() == b""


def test_skipping_tells_the_names_and_saves_nothing(tmp_path: Path) -> None:
    session = comparing(tmp_path, ["ward", "base"])
    judge(session, None)
    assert "ward" in session.status
    assert ENGLISH.judged_unsaved in session.status
    assert not (tmp_path / "ratings.comparisons.jsonl").exists()
    judge(session, "A")  # a second click
    assert not (tmp_path / "ratings.comparisons.jsonl").exists()


def test_equal_words_are_no_pair(tmp_path: Path) -> None:
    session = comparing(tmp_path, ["ward", "base"], dict.fromkeys(SAID, "same"))
    judge(session, "A")
    assert ENGLISH.judged.format(pairs=0) in session.status


def test_an_open_comparison_waits_for_its_verdict(tmp_path: Path) -> None:
    session = comparing(tmp_path, ["ward", "base"])
    list(session.ask("next", GREEDY))
    assert session.status == ENGLISH.judge_first
    assert session.draft == "next"
    assert len(session.conversation.exchanges) == 1
    list(session.again(GREEDY))
    assert session.status == ENGLISH.judge_first
    session.clear()
    assert session.trial is None


def test_half_a_comparison_is_none(tmp_path: Path) -> None:
    broken = ["half ", ServeError("out of memory")]
    models = [served("ward", Script(["all"])), served("base", Script(broken))]
    session = Session(models, Feedback(tmp_path / "ratings.jsonl"), CHINESE)
    session.choose(["ward", "base"])
    list(session.ask("q", GREEDY))
    assert "out of memory" in session.status
    assert session.failed
    assert session.trial is None
    assert session.draft == "q"
    assert session.conversation.exchanges == []


def test_a_silent_model_may_lose_and_nothing_is_learned_from_it(tmp_path: Path) -> None:
    session = comparing(tmp_path, ["ward", "base"], {"ward": "Rest.", "clinic": "", "base": " "})
    judge(session, letter_of(session, "ward"))
    assert ENGLISH.not_rated in session.status
    assert [answer.text for answer in session.conversation.exchanges[0].answers] == ["Rest."]
    assert not (tmp_path / "ratings.comparisons.jsonl").exists()


def test_only_models_that_there_are_can_be_chosen_and_one_must_be(tmp_path: Path) -> None:
    session = comparing(tmp_path, ["ward"])
    session.choose(["../etc", "base"])
    assert [model.name for model in session.chosen] == ["base"]
    session.choose([])
    list(session.ask("next", GREEDY))
    assert session.status == ENGLISH.choose_model
    assert session.draft == "next"


def test_a_row_that_is_no_comparison_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ratings.comparisons.jsonl"
    for text in (
        "no json\n",
        "[]\n",
        '{"verdict": "A", "answers": []}\n',
        '{"verdict": "A", "answers": 3}\n',
        "[" * 10_000,
    ):
        path.write_text('{"verdict": "tie", "answers": []}\n' + text)
        with pytest.raises(ServeError, match=r"row 2 of .* is no comparison"):
            Feedback(tmp_path / "ratings.jsonl")


def test_a_comparison_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    session = comparing(tmp_path, ["ward", "base"])
    (tmp_path / "ratings.jsonl").unlink()
    (tmp_path / "ratings.jsonl").mkdir()
    judge(session, letter_of(session, "ward"))
    assert session.failed
    assert "could not be written" in session.status
    assert rows(tmp_path / "ratings.comparisons.jsonl") == []
    assert session.feedback is not None
    assert not session.feedback.tally.won
