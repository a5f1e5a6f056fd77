"""A page that is put into another language says everything in it, whatever was open on it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.serve.web.test_web_session import GREEDY, Script, served

from medicalgpt.config.emergency import find
from medicalgpt.errors import ServeError
from medicalgpt.serve.web import session as session_module
from medicalgpt.serve.web.events import Events
from medicalgpt.serve.web.feedback import Feedback
from medicalgpt.serve.web.judging import judge
from medicalgpt.serve.web.kept import KeptConversations
from medicalgpt.serve.web.page import Offer, build, words
from medicalgpt.serve.web.session import Session
from medicalgpt.serve.web.settings import Settings
from medicalgpt.serve.web.simplified import SIMPLIFIED
from medicalgpt.serve.web.texts import CHINESE, ENGLISH, TEXTS

TAB: Any = SimpleNamespace(session_hash="tab", headers={"accept-language": "en"})


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "PAUSE", 0)


def _opened(folder: Path, said: dict[str, str] | None = None) -> tuple[Events, Session]:
    """A page and its one tab; models say what is given, each to one question."""
    models = [served(name, Script([text])) for name, text in (said or {"ward": "Rest."}).items()]
    offer = Offer({model.name: model.info for model in models}, rated=True, keeps=True)
    session = Session(models, Feedback(folder / "ratings.jsonl"), ENGLISH, kept=KeptConversations(folder / "kept"))
    events = Events(build(offer, Settings()), offer, lambda texts: session, Settings())
    events.load(TAB)
    return events, session


def test_an_open_comparison_has_its_buttons_and_its_question_in_the_new_language(tmp_path: Path) -> None:
    events, session = _opened(tmp_path, {"ward": "Rest.", "clinic": "Wait."})
    session.choose(["ward", "clinic"])
    list(session.ask("q", GREEDY))
    changed = events.change_language(TAB)
    assert changed[events.page.best_a]["value"] == "A 最好"
    assert changed[events.page.best_a]["visible"] is True
    assert SIMPLIFIED.judge in changed[events.page.status]


def test_the_count_of_kept_conversations_follows_the_language(tmp_path: Path) -> None:
    events, session = _opened(tmp_path)
    session.kept_as = "20260101T000000-0123456789ab"
    list(session.ask("q", GREEDY))
    events.search(TAB, "q")
    label = events.change_language(TAB)[events.page.kept_list]["label"]
    assert label == SIMPLIFIED.kept_list.format(count=session.listed)


@pytest.mark.parametrize("change", ["change_language", "change_emergency"])
def test_a_button_that_no_longer_asks_whether_to_delete_does_not_delete(tmp_path: Path, change: str) -> None:
    events, session = _opened(tmp_path)
    events.keep(TAB, True, "")
    list(session.ask("q", GREEDY))
    name = session.kept_as
    assert events.delete_kept(TAB, name, "")[events.page.kept_delete]["value"] == ENGLISH.kept_sure
    changed = events.change_language(TAB) if change == "change_language" else events.change_emergency(TAB, "TW")
    assert changed[events.page.kept_delete] == {"value": session.texts.kept_delete, "variant": "secondary"} | {
        "__type__": "update"
    }
    asked = events.delete_kept(TAB, name, "")
    assert asked[events.page.kept_delete]["value"] == session.texts.kept_sure
    assert session.kept is not None
    assert [entry.name for entry in session.kept.search("")[0]] == [name]


def test_errors_are_told_in_the_language_of_the_page(tmp_path: Path) -> None:
    error = ServeError("out of memory; ask for fewer or shorter answers at the same time")
    assert ENGLISH.went_wrong(error) == f"{ENGLISH.failed} {error}"
    for texts in (SIMPLIFIED, CHINESE):
        told = texts.went_wrong(error)
        assert told.startswith(texts.failed)
        assert "memory" not in told


@pytest.mark.parametrize("texts", list(TEXTS.values()))
def test_chinese_has_chinese_punctuation(tmp_path: Path, texts: Any) -> None:
    events, session = _opened(tmp_path, {"ward": "Rest.", "clinic": "Wait."})
    regions = words(events.page, events.offer, texts, find("TW"))[events.page.emergency]["choices"]
    assert dict(regions)
    assert all((": " in label) == (texts.language == "en") for label, code in regions if code)
    session.texts = texts
    session.choose(["ward", "clinic"])
    list(session.ask("q", GREEDY))
    judge(session, "A")
    counts = session.status[session.status.index(texts.tally.split("{")[0]) :]
    assert (": 1" in counts) == (texts.language == "en")
