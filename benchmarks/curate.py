"""What curation finds of what was planted in real text: near-duplicates, items of tests, the known overlap of two tests; and speed.

    python benchmarks/curate.py --data DATA

DATA holds the public sets that docs/curation.md names. Prints counts and shares; nothing of the texts is printed or kept.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from medicalgpt.config.curation import Containment, DuplicatesConfig, NgramSizes
from medicalgpt.curation.duplicates import band_keys, candidates, verified
from medicalgpt.curation.matching import comparable
from medicalgpt.curation.overlap import ItemIndex, SoughtItem
from medicalgpt.curation.rows import row_of, texts_in
from medicalgpt.curation.sought import named_items
from medicalgpt.data.formats import BadRow
from medicalgpt.data.read_row import row_record
from medicalgpt.data.rows import open_rows
from medicalgpt.data.sources import find
from medicalgpt.evaluation.catalog import find_tests

WIDE = {ord(c): ord(c) + 0xFEE0 for c in "abcdefghijklmnopqrstuvwxyz0123456789"}


def carriers(folder: Path, columns: dict[str, str]) -> Iterator[list[str]]:
    """The texts of the rows in a folder: of dialogues question and answer."""
    for file in find([folder]).files:
        for row in open_rows(file, columns):
            try:
                record = row_record(row, str(file), columns).record
            except BadRow:
                continue
            yield list(texts_in(row_of(record)))


def edited(text: str, share: float, alphabet: str, rng: random.Random) -> str:
    """Each character replaced, dropped or doubled with a chance."""
    out = []
    for char in text:
        if rng.random() >= share:
            out.append(char)
        else:
            out.append(rng.choice(("", char * 2, rng.choice(alphabet))))
    return "".join(out)


def near_duplicates(name: str, rows: Sequence[Sequence[str]], rng: random.Random) -> None:
    """Recall of edited copies of rows (question and answer), and what is found among rows of which none was planted."""
    config = DuplicatesConfig()
    alphabet = "".join(sorted({c for row in rows for text in row for c in text if c.isalpha()}))
    plain = list(dict.fromkeys(tuple(map(comparable, row)) for row in rows))
    began = time.process_time()
    _near(plain, config)
    speed = sum(len(text) for row in plain for text in row) / (time.process_time() - began)
    natural = {row for pair in _near(plain, config).tolist() for row in pair}
    alone = [row for number, row in enumerate(plain) if number not in natural]
    for share in (0.02, 0.05, 0.10):
        copies = [tuple(comparable(edited(text, share, alphabet, rng)) for text in row) for row in alone]
        good = _near(alone + copies, config)
        right = good[good[:, 1] - good[:, 0] == len(alone)]
        recall, precision = len(right) / len(alone), len(right) / max(1, len(good))
        print(
            f"near-duplicates, {name}, {share:.0%} edited: recall {recall:.2%}, precision {precision:.2%} of {len(alone)} rows"
        )
    print(f"  {len(natural)} rows have near-duplicates by themselves; {speed / 1e6:.1f} M characters/s")


def _near(rows: Sequence[tuple[str, ...]], config: DuplicatesConfig) -> np.ndarray:
    keys = band_keys(["".join(row) for row in rows], config)
    pairs = candidates(keys.ravel(), np.repeat(np.arange(len(rows)), config.bands))
    found: np.ndarray = pairs[verified(pairs, lambda row: ("".join(rows[row]), rows[row][0]), config)]
    return found


Change = Callable[[SoughtItem, random.Random], str]


def _whole(item: SoughtItem) -> str:
    return "\n".join(item.parts)


def _reordered(item: SoughtItem, rng: random.Random) -> str:
    options = list(item.parts[1:])
    rng.shuffle(options)
    return "\n".join([item.parts[0], *(f"({letter}) {one}" for letter, one in zip("ABCDEFGH", options))])


def _damaged(item: SoughtItem, rng: random.Random) -> str:
    alphabet = "的一是在不了有和人这" if item.language == "zh" else "etaoinshrdlu"
    return edited(_whole(item), 0.05, alphabet, rng)


CHANGES: dict[str, Change] = {
    "verbatim": lambda item, rng: _whole(item),
    "spaced": lambda item, rng: " ".join(_whole(item)),
    "full width": lambda item, rng: _whole(item).translate(WIDE),
    "options in another order": _reordered,
    "question alone": lambda item, rng: item.parts[0],
    "question alone, 10 characters or more": lambda item, rng: (
        item.parts[0] if len(comparable(item.parts[0])) >= 10 else ""
    ),
    "5 % of the characters damaged": _damaged,
}


def planted(name: str, items: Sequence[SoughtItem], texts: Sequence[str], rng: random.Random, count: int) -> None:
    """Recall of items planted in real rows, and rows flagged in which none was planted."""
    index = ItemIndex.of(items, NgramSizes(), Containment())
    began = time.process_time()
    flagged = sum(bool(index.find(text)) for text in texts)
    speed = sum(map(len, texts)) / (time.process_time() - began)
    print(
        f"test items, {name}: {flagged} of {len(texts)} rows flagged without any planted; {speed / 1e6:.2f} M characters/s; "
        f"{sum(index.unfindable.values())} of {len(items)} items too short to find"
    )
    chosen = rng.sample(list(items), min(count, len(items)))
    for change, make in CHANGES.items():
        texts_of = [(item, make(item, rng)) for item in chosen]
        tried = [(item, text) for item, text in texts_of if text]
        hit = 0
        for item, text in tried:
            carrier = rng.choice(texts)
            at = rng.randrange(len(carrier) + 1)
            found = index.find(f"{carrier[:at]}\n{text}\n{carrier[at:]}")
            hit += any(one.id == item.id for one in found)
        print(f"  {change}: {hit} of {len(tried)} found ({hit / max(1, len(tried)):.1%})")


def shared(first: Sequence[SoughtItem], second: Sequence[SoughtItem]) -> None:
    """The distinct questions that two tests share, by comparing all, and as rows of one are searched for items of the other."""
    questions = {comparable(item.parts[0]) for item in second}
    both = {comparable(item.parts[0]) for item in first} & questions
    index = ItemIndex.of(first, NgramSizes(), Containment())
    by_id = {item.id: comparable(item.parts[0]) for item in first}
    hits = [hit for item in second for hit in index.find(_whole(item))]
    found = {by_id[hit.id] for hit in hits}
    word_for_word = {by_id[hit.id] for hit in hits if hit.verbatim}
    print(
        f"shared questions: {len(both)} by comparing all; {len(both & found)} of them found, {len(both & word_for_word)} as word "
        f"for word; {len(found)} distinct questions found in all, {len(word_for_word)} word for word"
    )


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=2500, help="rows of carriers")
    parser.add_argument("--items", type=int, default=300, help="planted items of each test")
    args = parser.parse_args()
    rng = random.Random(7)
    zh = list(carriers(args.data / "Toyhom+Chinese-medical-dialogue-data", {"question": "ask", "answer": "answer"}))
    en = list(
        carriers(args.data / "abachaa+MTS-Dialog/Main-Dataset", {"question": "dialogue", "answer": "section_text"})
    )
    zh, en = rng.sample(zh, min(args.rows, len(zh))), rng.sample(en, min(args.rows, len(en)))
    near_duplicates("Chinese consultations", zh, rng)
    near_duplicates("English dialogues with notes", en, rng)
    tests = {
        test.config.name: list(named_items(test))
        for test in find_tests(["cmexam", "medqa-mainland", "medqa-usmle", "medmcqa", "pubmedqa"], args.data)
    }
    for name, items in tests.items():
        rows = zh if items[0].language == "zh" else en
        planted(name, items, ["\n".join(row) for row in rows], rng, args.items)
    shared(tests["cmexam"], tests["medqa-mainland"])


if __name__ == "__main__":
    main()
