"""One tab of the web page, with a model that plays a script."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from tests.tiny import tiny_tokenizer

from medicalgpt.errors import BusyError, ServeError
from medicalgpt.generate.live.engine import LoadStats
from medicalgpt.generate.live.request import Piece, Request
from medicalgpt.generate.prompts import EncodedPrompt
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.serve.web import session as module
from medicalgpt.serve.web.info import ModelInfo
from medicalgpt.serve.web.served import ServedModel
from medicalgpt.serve.web.session import Session
from medicalgpt.serve.web.settings import Settings
from medicalgpt.serve.web.texts import CHINESE, ENGLISH
from medicalgpt.serve.web.view import parts

GREEDY = Settings(temperature=0.0, max_new_tokens=32)


class Script:
    """Answers with the given pieces; "length" and errors end an answer in their way, "…" leaves it open."""

    def __init__(self, *answers: list[Any]) -> None:
        self.engine = SimpleNamespace(template=ChatTemplate.load(tiny_tokenizer()))
        self.answers, self.load, self.slots = iter(answers), LoadStats(), 1
        self.asked: list[tuple[list[int], Any]] = []
        self.requests: list[Request] = []
        self.opened = threading.Event()

    def submit(self, encoded: EncodedPrompt, sampling: Any, sink: Any) -> Any:
        pieces = next(self.answers)
        if isinstance(pieces, Exception):
            raise pieces
        self.asked.append((list(encoded.ids), sampling))
        self.requests.append(Request(encoded, sampling, sink))
        for piece in pieces:
            if piece == "…":
                self.opened.set()
                return self.requests[-1]
            sink(piece if isinstance(piece, Exception) else Piece(0, piece, 1))
        sink(Piece(0, finish="stop"))
        return self.requests[-1]

    def prompts(self) -> list[str]:
        return [self.engine.template.encoder.decode(ids) for ids, _ in self.asked]


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0)


def tab(*answers: list[Any], context: int | None = 512) -> tuple[Session, Script]:
    script = Script(*answers)
    return Session([served("m", script, context)], None, ENGLISH), script


def served(name: str, script: Script, context: int | None = 512) -> ServedModel:
    info = ModelInfo(name, "b", "", (), "", "", (), context, "", "chatml", version="3fa9c1d20b7e")
    return ServedModel(name, script, context, info)  # type: ignore[arg-type]


def said(session: Session) -> list[tuple[str, str]]:
    return [(e.question, e.answer.text if e.answer else "") for e in session.conversation.exchanges]


def test_a_question_is_answered_and_remembered() -> None:
    session, script = tab(["38 ", "degrees"], ["A day"])
    list(session.ask(" What is a fever? ", GREEDY))
    assert session.draft == ""
    assert "2 tokens" in session.status
    list(session.ask("How long?", Settings(system="Be brief.", temperature=0, max_new_tokens=32)))
    assert said(session) == [("What is a fever?", "38 degrees"), ("How long?", "A day")]
    turns = ["Be brief.", "What is a fever?", "38 degrees", "How long?"]
    places = [script.prompts()[1].index(turn) for turn in turns]
    assert places == sorted(places)


def test_asking_again_keeps_the_first_answer_and_goes_on_from_the_one_shown() -> None:
    session, script = tab(["one"], ["two"], ["three"])
    list(session.ask("a", Settings(seed=5, max_new_tokens=32)))
    list(session.again(Settings(seed=5, max_new_tokens=32)))
    assert [s.seed for _, s in script.asked] == [5, 6]  # else the second answer would be the first one again
    exchange = session.conversation.last
    assert exchange is not None
    assert [a.text for a in exchange.answers] == ["one", "two"]
    exchange.turn(-1)
    exchange.turn(-1)
    list(session.ask("b", GREEDY))
    assert "one" in script.prompts()[2]
    assert "two" not in script.prompts()[2]


def test_asking_again_at_temperature_0_says_that_nothing_will_change() -> None:
    session, _ = tab(["one"], ["one"])
    list(session.ask("a", GREEDY))
    assert ENGLISH.greedy not in session.status
    list(session.again(GREEDY))
    assert ENGLISH.greedy in session.status


def test_without_a_seed_every_answer_has_its_own() -> None:
    session, script = tab(["one"], ["two"])
    list(session.ask("a", Settings(max_new_tokens=32)))
    list(session.again(Settings(max_new_tokens=32)))
    assert script.asked[0][1].seed != script.asked[1][1].seed


def test_an_edited_question_replaces_what_followed() -> None:
    session, _ = tab(["one"], ["two"], ["three"])
    list(session.ask("a", GREEDY))
    list(session.ask("b", GREEDY))
    list(session.ask("c", GREEDY, number=0))
    assert said(session) == [("c", "three")]
    assert session.draft is None  # what is being typed stays


def test_stop_keeps_what_was_shown() -> None:
    session, script = tab(["half ", "…"])
    steps = session.ask("a", GREEDY)
    next(steps)
    next(steps)
    assert said(session) == [("a", "half ")]
    assert session.busy
    threading.Timer(0.05, session.stop).start()
    list(steps)
    answer = session.conversation.exchanges[0].answer
    assert answer is not None
    assert (answer.text, answer.ending, answer.complete) == ("half ", "stopped", False)
    assert script.requests[0].cancelled
    assert session.status == ENGLISH.stopped
    assert not session.busy


def test_stop_before_the_first_word_gives_the_question_back() -> None:
    session, _ = tab(["…"])
    steps = session.ask("a question", GREEDY)
    next(steps)
    session.stop()
    list(steps)
    assert said(session) == []
    assert session.draft == "a question"


def test_a_closed_tab_frees_the_model() -> None:
    session, script = tab(["half ", "…"])
    steps = session.ask("a", GREEDY)
    next(steps)
    next(steps)
    steps.close()
    assert script.requests[0].cancelled
    assert not session.busy


def test_clearing_while_an_answer_grows_leaves_nothing() -> None:
    session, script = tab(["half ", "…"], ["fresh"])
    steps = session.ask("a", GREEDY)
    next(steps)
    next(steps)
    session.clear()
    list(steps)
    assert said(session) == []
    assert (session.status, session.draft) == ("", None)
    list(session.ask("b", GREEDY))
    assert "half" not in script.prompts()[-1]


def test_a_second_question_meanwhile_is_not_lost() -> None:
    session, _ = tab(["half ", "…"])
    steps = session.ask("a", GREEDY)
    next(steps)
    list(session.ask("b", GREEDY))
    assert session.draft == "b"
    assert session.status == ENGLISH.still_answering
    session.draft = None
    list(session.ask("a ", GREEDY))
    assert session.draft is None, "the same question again is a double Enter"
    list(session.again(GREEDY))
    session.stop()
    list(steps)
    assert len(session.conversation.exchanges) <= 1


def test_thoughts_that_the_prompt_opened_are_apart_from_the_answer() -> None:
    session, script = tab(["39 is ", "high.</think>\n\n", "See a doctor."], [])
    script.engine.template = ChatTemplate.load(tiny_tokenizer(), "qwen3.5")
    list(session.ask("a", GREEDY))
    ((_, text),) = said(session)
    assert parts(text) == ("39 is high.", "See a doctor.", True)
    list(session.ask("b", GREEDY))
    assert session.draft == "b", "an answer without a word is none, also where a tag could stand for it"


def test_a_busy_model_is_told_in_words_and_the_question_comes_back() -> None:
    session, _ = tab(BusyError("the model is busy: 64 answers are waiting"))  # type: ignore[arg-type]
    list(session.ask("a", GREEDY))
    assert (session.status, session.failed, session.draft) == (ENGLISH.busy, True, "a")


def test_an_error_in_the_midst_keeps_the_words_before_it() -> None:
    session, _ = tab(["half ", ServeError("out of memory")])
    list(session.ask("a", GREEDY))
    assert session.failed
    assert session.status == "That did not work. out of memory"
    assert said(session) == [("a", "half ")]


def test_waiting_for_others_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    session, script = tab(["…"])
    script.load = LoadStats(active=1, waiting=1)
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    steps = session.ask("a", GREEDY)
    next(steps)
    next(steps)
    assert session.status == ENGLISH.waiting
    session.stop()
    list(steps)


@pytest.mark.parametrize("texts", [ENGLISH, CHINESE])
def test_a_question_that_is_too_long_is_told_with_numbers(texts: Any) -> None:
    session, _ = tab(context=64)
    session.texts = texts
    list(session.ask("fever " * 200, GREEDY))
    tokens = len(session.models[0].live.engine.template.prompt_ids(_user("fever " * 200)))
    told = ServeError(texts.too_long.format(tokens=tokens, limit=32, room=32))
    assert session.status == texts.went_wrong(told)
    assert session.draft is not None
    assert said(session) == []


def test_no_room_for_the_answer_is_told() -> None:
    session, _ = tab(context=64)
    list(session.ask("a", Settings(max_new_tokens=64)))
    assert ENGLISH.no_room.format(room=64, context=64) in session.status


def test_a_special_token_in_a_question_is_refused_in_words() -> None:
    session, _ = tab()
    list(session.ask("<|im_end|> hello", GREEDY))
    assert session.failed
    assert ENGLISH.not_rendered in session.status


def test_turns_that_no_longer_fit_are_told_and_are_no_part_of_the_prompt() -> None:
    session, _ = tab(["one"], ["two"], context=80)
    list(session.ask("fever " * 8, GREEDY))
    list(session.ask("pressure " * 8, GREEDY))
    answer = session.conversation.exchanges[1].answer
    assert answer is not None
    assert answer.dropped_turns == 2
    assert [turn.content for turn in answer.prompt] == [("pressure " * 8).strip()]
    assert ENGLISH.dropped.format(turns=2) in session.status


def test_an_empty_answer_is_not_kept() -> None:
    session, _ = tab([], ["one"], [])
    list(session.ask("a", GREEDY))
    assert said(session) == []
    assert ENGLISH.empty in session.status
    list(session.ask("b", GREEDY))
    list(session.again(GREEDY))
    assert said(session) == [("b", "one")]  # the first answer is shown again


def _user(text: str) -> Any:
    from medicalgpt.data.records import Message

    return [Message("user", text.strip())]
