"""Catalogues stay in step with the source: templates, places, scripts, and rooms that are whole.

What fails here is set right by `python -m messages`, and by translating what it adds to `messages/zh-CN/ROOM.po`.
"""

import ast
import json
import re
from functools import cache

import pytest

pytest.importorskip("babel")

from messages import WHOLE
from messages.by_hand import SYSTEM
from messages.catalogues import COMPILED, compiled, places, rooms, shares, traditional
from messages.sources import messages, wordings
from messages.templates import templates
from opencc import OpenCC
from tests.unit.test_translations import BOTH, ELSEWHERE

REMEDY = "run: python -m messages"


@cache
def _shown() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for message in messages():
        found.setdefault(message.room, set()).add(message.text)
    return found


def test_every_message_of_the_catalogues_still_stands_in_the_source() -> None:
    gone = [text for room, entries in rooms().items() for text in entries if text not in _shown().get(room, ())]
    assert [text for text in gone if text not in wordings()] == [], REMEDY


def test_every_message_of_the_source_stands_in_a_catalogue() -> None:
    known = rooms()
    new = {room: sorted(texts - set(known.get(room, ()))) for room, texts in _shown().items()}
    assert {room: texts for room, texts in new.items() if texts and room in WHOLE} == {}, REMEDY


@pytest.mark.parametrize("room", WHOLE)
def test_whole_rooms_are_whole(room: str) -> None:
    lacking = [text for text, told in rooms()[room].items() if not told]
    assert lacking == [], f"translate them in messages/zh-CN/{room}.po, then {REMEDY}"


def test_most_of_the_other_rooms_is_translated() -> None:
    """Their new messages may wait; they are shown in English until then. `pytest -s` prints the shares."""
    for room, (told, of) in shares().items():
        print(f"{room}: {told} of {of}")
    assert sum(told for told, _ in shares().values()) >= 0.9 * sum(of for _, of in shares().values())


@pytest.mark.parametrize("language", ["zh-CN", "zh-TW"])
def test_what_the_program_reads_is_made_of_the_catalogues(language: str) -> None:
    read = json.loads((COMPILED / f"{language}.json").read_text(encoding="utf-8"))
    assert read == compiled(language), REMEDY


@pytest.mark.parametrize("language", ["zh-CN", "zh-TW"])
def test_both_sides_have_the_same_places(language: str) -> None:
    wrong = []
    for text, told in compiled(language).items():
        templated = re.search(r"(?<!\{)\{\w", text.replace("{{", "")) is not None or "{" not in text
        if templated and places(text) != places(told):
            wrong.append((text, told))
    assert wrong == []


def _bare(text: str) -> str:
    return re.sub(r"`[^`\n]*`|\{[^{}]*\}", "", text)


@pytest.mark.parametrize(("language", "form"), [("zh-CN", "t2s"), ("zh-TW", "s2tw")])
def test_each_catalogue_is_of_one_script_and_in_the_words_of_its_readers(language: str, form: str) -> None:
    converter = OpenCC(form)
    for text in map(_bare, compiled(language).values()):
        other = {a for a, b in zip(text, converter.convert(text)) if a != b} - set(BOTH[language])
        assert other == set(), text
        assert [word for word in ELSEWHERE[language].split() if word in text] == [], text


def test_commands_keys_and_options_are_the_same_on_both_sides() -> None:
    named = re.compile(r"`[^`]+`|--[a-z][a-z-]+|[a-z]+\.[a-z_]+(?:\.[a-z_]+)*=\S*")
    for text, told in compiled("zh-CN").items():
        lost = {word.rstrip(".,;:)") for word in named.findall(text)} - set(named.findall(told))
        assert [word for word in lost if word not in told] == [], (text, told)


def test_traditional_text_keeps_places_and_code_and_takes_the_words_of_the_glossary() -> None:
    assert traditional("{数据} 数据集 `数据` 运行目录") == "{数据} 資料集 `数据` 執行資料夾"


def test_messages_of_the_system_are_as_linux_words_them() -> None:
    assert "Permission denied" in SYSTEM


def _templates(code: str) -> list[str]:
    return templates(ast.parse(code, mode="eval").body)


def test_expressions_become_templates() -> None:
    assert _templates("f\"{path}: {len(rows):,} row{'s' if n else ''} too long\"") == [
        "{path}: {rows} row{s|} too long"
    ]
    assert _templates('f"none is {a.name}{did_you_mean(b)}; {{x}}"') == ["none is {name}{did_you_mean}; {{x}}"]
    assert _templates('"the run " + ("ended early" if a else "goes on") + f" at {b}, {b}"') == [
        "the run ended early at {b}, {b2}",
        "the run goes on at {b}, {b2}",
    ]
    assert _templates('", ".join(names)') == []
