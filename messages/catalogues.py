"""The catalogues: one .po file a room with 简体中文, written by people; two .json files that the program reads, made of them.

繁體中文 is derived: words of the glossary and of `words.tsv` first, the rest by OpenCC (`s2twp`). What reads wrong that way
gets a line in `words.tsv`.
"""

import json
import re
from collections.abc import Callable, Container, Iterable, Mapping
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po
from opencc import OpenCC

from medicalgpt.language.pattern import places as named
from messages.sources import PACKAGE, ROOT, Message

HERE = Path(__file__).parent
SOURCE = HERE / "zh-CN"
COMPILED = PACKAGE / "language"


def rooms() -> dict[str, dict[str, str]]:
    """Translations by template by room; "" where there is none yet."""
    return {path.stem: _read(path) for path in sorted(SOURCE.glob("*.po"))}


def update(found: Iterable[Message], wordings: Callable[[], Container[str]]) -> None:
    """Bring every .po file in step with the source: new messages come, vanished ones go, translations stay.

    A message that was only reworded finds its old translation marked fuzzy: it counts as missing until someone has looked.
    """
    by_room: dict[str, list[Message]] = {}
    for message in found:
        by_room.setdefault(message.room, []).append(message)
    for room in sorted({*by_room, *(path.stem for path in SOURCE.glob("*.po"))}):
        path = SOURCE / f"{room}.po"
        old = _catalog(path)
        new = Catalog()
        for message in by_room.get(room, ()):
            new.add(message.text, locations=[(message.file, 0)])
        for entry in old:
            kept = entry.id and entry.string and not entry.fuzzy and entry.id not in new
            if kept and entry.id in wordings():  # words that a function hands to another
                new.add(entry.id, locations=[(file, 0) for file, _ in entry.locations])
        old.update(new, no_fuzzy_matching=len(new) > 100 and not len(old))
        old.obsolete.clear()
        write(path, old)


def write(path: Path, catalog: Catalog) -> None:
    """Write a .po file without dates, people and line numbers, which would change with every commit; messages by file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tidy = Catalog()
    for entry in sorted(
        (one for one in catalog if one.id), key=lambda one: (min(file for file, _ in one.locations), one.id)
    ):
        places_in = sorted({file for file, _ in entry.locations})
        tidy.add(entry.id, entry.string, locations=[(file, 0) for file in places_in], flags=entry.flags)
    with path.open("wb") as file:
        write_po(file, tidy, width=0, omit_header=True, include_lineno=False)


def compiled(language: str) -> dict[str, str]:
    """All translations of a language, as the program reads them."""
    merged = {text: told for room in rooms().values() for text, told in room.items() if told}
    if language == "zh-TW":
        merged = {text: traditional(told) for text, told in merged.items()}
    return dict(sorted(merged.items()))


def compile_all() -> None:
    """Write the .json files, one message a line, so that two changes merge."""
    for language in ("zh-CN", "zh-TW"):
        text = json.dumps(compiled(language), ensure_ascii=False, indent=0)
        (COMPILED / f"{language}.json").write_text(text + "\n", encoding="utf-8")


def places(template: str) -> set[str]:
    """The places of a template that every translation has: those for singular and plural it leaves out."""
    return {name for name in named(template) if "|" not in name}


def shares() -> Mapping[str, tuple[int, int]]:
    """How many messages of each room are translated, and of how many."""
    return {room: (sum(map(bool, entries.values())), len(entries)) for room, entries in rooms().items()}


def traditional(text: str) -> str:
    """简体 in the words of Taiwan; places and code stay as they are."""
    parts = re.split(r"(\{[\w|]*\}|`[^`\n]*`)", text)
    told = "".join(part if i % 2 else _words(part) for i, part in enumerate(parts))
    return re.sub(r"(?<=[\u4e00-\u9fff])(?=adapter)|(?<=adapter)(?=[\u4e00-\u9fff])", " ", told)


def _words(text: str) -> str:
    table, pattern = _table()
    parts = pattern.split(text)
    return "".join(table[part] if part in table else _opencc().convert(part) for part in parts)


@cache
def _opencc() -> OpenCC:
    return OpenCC("s2twp")


@cache
def _table() -> tuple[dict[str, str], re.Pattern[str]]:
    """Words of the glossary that have as many forms in either script, and those of `words.tsv`."""
    table: dict[str, str] = {}
    for line in (ROOT / "docs" / "zh-CN" / "glossary.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 3:
            simple, taiwan = (re.sub(r"（[^）]*）", "", cell).split("、") for cell in cells[1:])
            if len(simple) == len(taiwan):
                table.update((a, b) for a, b in zip(simple, taiwan) if len(a) > 1 and not a.isascii())
    for line in (HERE / "words.tsv").read_text(encoding="utf-8").splitlines():
        simple_word, _, taiwan_word = line.partition("\t")
        table[simple_word] = taiwan_word
    longest = sorted(table, key=len, reverse=True)
    return table, re.compile("(" + "|".join(map(re.escape, longest)) + ")")


def _catalog(path: Path) -> Catalog:
    if not path.is_file():
        return Catalog()
    with path.open("rb") as file:
        return read_po(file)


def _read(path: Path) -> dict[str, str]:
    return {entry.id: "" if entry.fuzzy else entry.string for entry in _catalog(path) if entry.id}
