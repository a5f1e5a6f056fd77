"""Items of tests in rows: found however they are written, and nothing else."""

import random

import pytest

from medicalgpt.config.curation import Containment, NgramSizes
from medicalgpt.curation.overlap import ItemIndex, SoughtItem

ZH = SoughtItem(
    "zh", "1", ("患者突发胸痛伴大汗两小时，首先应做的检查是", "心电图", "胸部平片", "血常规", "腹部超声"), "zh"
)
SHORT = SoughtItem("zh", "2", ("骨折的专有体征是", "肿胀与疼痛", "畸形", "反常活动", "骨擦音"), "zh")
TINY = SoughtItem("zh", "3", ("脾的作用", "造血和储血", "分泌胆汁", "吸收脂肪", "排出毒素"), "zh")
EN = SoughtItem(
    "en",
    "4",
    ("Which nerve is most often injured in a fracture of the humeral shaft?", "Radial", "Ulnar", "Median", "Axillary"),
    "en",
)
ITEMS = [ZH, SHORT, TINY, EN]
FILLER = "我最近总是头晕，量了几次血压都偏高，请问需要吃药吗？平时喜欢喝酒，睡眠也不好。"


@pytest.fixture(scope="module")
def index() -> ItemIndex:
    return ItemIndex.of(ITEMS, NgramSizes(), Containment())


def ids(index: ItemIndex, text: str) -> list[str]:
    return [hit.id for hit in index.find(text)]


WIDE = {ord(c): ord(c) + 0xFEE0 for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"}


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.id)
@pytest.mark.parametrize("how", ["verbatim", "spaced", "wide", "reordered", "traditional", "lettered"])
def test_an_item_is_found_however_it_is_written(item: SoughtItem, how: str, index: ItemIndex) -> None:
    question, *options = item.parts
    text = "\n".join(item.parts)
    if how == "spaced":
        text = " ".join(text)
    elif how == "wide":
        text = text.translate(WIDE)
    elif how == "reordered":
        text = "\n".join([question, *reversed(options)])
    elif how == "traditional":
        from opencc import OpenCC

        text = OpenCC("s2t").convert(text)
    elif how == "lettered":
        text = f"题目：{question}？\n" + " ".join(f"({letter}){one}" for letter, one in zip("ABCD", options))
    assert ids(index, f"{FILLER}\n{text}\n{FILLER}") == [item.id]


def test_a_question_alone_is_found_where_it_says_enough(index: ItemIndex) -> None:
    assert ids(index, f"{FILLER}{ZH.parts[0]}？{FILLER}") == ["1"]
    assert ids(index, EN.parts[0] + " It is the radial nerve.") == ["4"]


def test_a_short_question_alone_is_found_as_a_line_of_its_own(index: ItemIndex) -> None:
    assert ids(index, f"问题：{SHORT.parts[0]}？\n反常活动") == ["2"]
    assert ids(index, f"我想知道{SHORT.parts[0]}什么，谢谢。") == []


@pytest.mark.parametrize(
    "text",
    [
        FILLER,
        "患者突发胸痛，应尽快做心电图检查，并抽血查心肌酶。",
        "Which nerve is injured most often? That depends on the bone.",
        "脾可以储血。",
        "",
    ],
)
def test_other_rows_are_left_alone(text: str, index: ItemIndex) -> None:
    assert ids(index, text) == []


def test_what_stands_far_apart_is_no_item(index: ItemIndex) -> None:
    rng = random.Random(1)
    pieces = [ZH.parts[0][at : at + 7] for at in range(0, len(ZH.parts[0]) - 6)]
    rng.shuffle(pieces)
    book = "".join(piece + FILLER * 20 for piece in pieces)
    assert ids(index, book) == [], "all n-grams are there, nowhere together"


def test_an_item_deep_in_a_book_is_found(index: ItemIndex) -> None:
    book = FILLER * 3000
    middle = len(book) // 2
    assert ids(index, book[:middle] + "\n".join(EN.parts) + book[middle:]) == ["4"]


def test_word_for_word_is_told_from_nearly(index: ItemIndex) -> None:
    assert [hit.verbatim for hit in index.find("\n".join(ZH.parts))] == [True]
    damaged = ZH.parts[0].replace("突发", "出现")
    assert [hit.verbatim for hit in index.find("\n".join([damaged, *ZH.parts[1:]]))] == [False]


def test_what_is_too_short_for_any_rule_is_counted() -> None:
    index = ItemIndex.of([SoughtItem("t", "1", ("血型", "A", "B"), "zh")], NgramSizes(), Containment())
    assert index.unfindable == {"t": 1}
    assert index.find("血型 A B") == []
