"""Conversations that are kept by choice: found again whole, and by their owner only."""

import os
import stat
from pathlib import Path

import pytest
from tests.unit.serve.web.test_web_session import GREEDY, Script, said, served

from medicalgpt.data.records import Message
from medicalgpt.errors import ServeError
from medicalgpt.serve.web import keeping
from medicalgpt.serve.web import kept as module
from medicalgpt.serve.web import session as session_module
from medicalgpt.serve.web.conversation import Conversation, WebAnswer, WebExchange
from medicalgpt.serve.web.kept import KeptConversations
from medicalgpt.serve.web.launch import Place, check
from medicalgpt.serve.web.session import Session
from medicalgpt.serve.web.texts import ENGLISH


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "PAUSE", 0)


@pytest.fixture
def kept(tmp_path: Path) -> KeptConversations:
    return KeptConversations(tmp_path / "kept")


def talk(question: str, *answers: str) -> Conversation:
    prompt = (Message("system", "Be brief."), Message("user", question))
    given = [
        WebAnswer(prompt, text, "stop", 3, 0.5, settings={"seed": 1}, model="ward", version="3f") for text in answers
    ]
    return Conversation([WebExchange(question, given, len(given) - 1)])


def tab(kept: KeptConversations | None, *answers: str) -> Session:
    return Session([served("m", Script(*([text] for text in answers)))], None, ENGLISH, kept=kept)


def test_a_conversation_comes_back_whole(kept: KeptConversations) -> None:
    name, before = kept.new_name(), talk("發燒？ <b>K</b> \ud7ff", "one", "two")
    before.exchanges[0].answers[1].rating = False
    kept.save(name, before)
    after = kept.load(name)
    assert repr(after) == repr(before)
    assert after.exchanges[0].answers[1].id == before.exchanges[0].answers[1].id  # a rating can still be taken back


def test_folder_and_files_are_their_owners(kept: KeptConversations) -> None:
    kept.save(kept.new_name(), talk("q", "a"))
    (file,) = kept.folder.iterdir()
    assert stat.S_IMODE(kept.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_nothing_is_written_until_a_reader_asks(kept: KeptConversations) -> None:
    session = tab(kept, "one", "two", "three")
    list(session.ask("a", GREEDY))
    assert list(kept.folder.iterdir()) == []
    keeping.keep(session, True)
    list(session.ask("b", GREEDY))
    (entry,) = kept.search("")[0]
    assert [e.question for e in kept.load(entry.name).exchanges] == ["a", "b"]
    keeping.keep(session, False)
    assert list(kept.folder.iterdir()) == []
    list(session.ask("c", GREEDY))
    assert list(kept.folder.iterdir()) == []


def test_a_new_conversation_is_not_kept_because_the_last_one_was(kept: KeptConversations) -> None:
    session = tab(kept, "one", "two")
    keeping.keep(session, True)
    list(session.ask("a", GREEDY))
    session.clear()
    list(session.ask("b", GREEDY))
    assert [entry.title for entry in kept.search("")[0]] == ["a"]


def test_a_kept_one_is_opened_gone_on_with_and_deleted(kept: KeptConversations) -> None:
    name = kept.new_name()
    kept.save(name, talk("fever?", "Rest."))
    session = tab(kept, "Two days.")
    keeping.go_on(session, name)
    list(session.ask("How long?", GREEDY))
    assert said(session) == [("fever?", "Rest."), ("How long?", "Two days.")]
    assert len(kept.load(name).exchanges) == 2
    keeping.delete(session, name)
    assert session.kept_as is None
    assert session.status == ENGLISH.is_deleted
    assert list(kept.folder.iterdir()) == []
    assert len(session.conversation.exchanges) == 2  # still on the page


def test_search_is_plain_text_in_questions_and_all_answers_the_latest_first(kept: KeptConversations) -> None:
    names = [kept.new_name() for _ in range(3)]
    for number, (name, made) in enumerate(
        zip(names, (talk("Fever .* 39°?", "a", "Straße"), talk("pulse " * 30, "b"), talk("x", "fever")))
    ):
        kept.save(name, made)
        os.utime(kept.folder / f"{name}.json", (number, number))
    assert [e.name for e in kept.search("")[0]] == names[::-1]
    assert [e.name for e in kept.search("FEVER")[0]] == [names[2], names[0]]
    assert [e.name for e in kept.search("strasse")[0]] == [names[0]]
    assert [e.name for e in kept.search(".*")[0]] == [names[0]]
    assert kept.search("nowhere") == ([], 0)
    title = kept.search("pulse")[0][0].title
    assert len(title) == 60
    assert title.endswith("…")


@pytest.mark.parametrize("name", ["../ratings", "", "a" * 31, "A" * 32, "/etc/passwd", "a" * 32 + "\n"])
def test_no_name_leads_out_of_the_folder(kept: KeptConversations, name: str) -> None:
    for act in (kept.load, kept.delete, lambda n: kept.save(n, talk("q", "a"))):
        with pytest.raises(ServeError, match="not the name of a kept conversation"):
            act(name)
    session = tab(kept)
    keeping.go_on(session, name)
    assert session.failed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"exchanges": []}',
        '{"exchanges": [{"question": "q", "answers": [], "shown": 0}]}',
        "[" * 100_000,
    ],
)
def test_damaged_files_are_counted_and_left_alone(kept: KeptConversations, text: str) -> None:
    path = kept.folder / ("a" * 32 + ".json")
    path.write_text(text)
    assert kept.search("") == ([], 1)
    session = tab(kept)
    assert keeping.entries(session, "") == []
    assert session.status == ENGLISH.kept_damaged.format(count=1)
    keeping.go_on(session, "a" * 32)
    assert "is damaged" in session.status
    assert path.read_text() == text


def test_a_link_is_not_followed(kept: KeptConversations, tmp_path: Path) -> None:
    other, name = KeptConversations(tmp_path / "other"), kept.new_name()
    other.save(name, talk("q", "a"))
    (kept.folder / f"{name}.json").symlink_to(other.folder / f"{name}.json")
    with pytest.raises(ServeError, match="cannot be used"):
        kept.load(name)


def test_number_and_size_are_bounded(kept: KeptConversations, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    monkeypatch.setattr(module, "_LARGEST", 2000)
    for _ in range(2):
        kept.save(kept.new_name(), talk("q", "a"))
    session = tab(kept)
    keeping.keep(session, True)
    assert "holds 2 conversations" in session.status
    assert session.kept_as is None
    with pytest.raises(ServeError, match="at most 2000 are kept"):
        kept.save("a" * 32, talk("q", "long " * 1000))


def test_places_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(ServeError, match=r"others on this machine may look into it \(mode 0755\); run chmod 700"):
        KeptConversations(tmp_path / "open")
    (tmp_path / "file").write_text("")
    with pytest.raises(ServeError, match="this is a file"):
        KeptConversations(tmp_path / "file")
    with pytest.raises(ServeError, match="the folder above it is missing"):
        KeptConversations(tmp_path / "gone" / "kept")


@pytest.mark.parametrize("place", [{"host": "0.0.0.0"}, {"share": True}, {"allow_host": ("ward.example",)}])
def test_nothing_is_kept_where_others_reach_the_page(tmp_path: Path, place: dict[str, object]) -> None:
    with pytest.raises(ServeError, match="everybody who reaches the page could read"):
        check(Place(keep=tmp_path / "kept", **place))  # type: ignore[arg-type]
    assert not (tmp_path / "kept").exists()


def test_without_a_folder_nothing_can_be_kept() -> None:
    session = tab(None, "one")
    keeping.keep(session, True)
    list(session.ask("a", GREEDY))
    keeping.delete(session, "a" * 32)
    assert keeping.entries(session, "") == []
    assert session.kept_as is None
