"""How people are called behind their surname, and by their given name alone: rules, without the network."""

import pytest

from medicalgpt.phi import Detector, Kind

DETECTOR = Detector(detectors=("patterns", "names"))


def _names(text: str) -> list[str]:
    return [text[s.start : s.end] for s in DETECTOR.find([text])[0] if s.kind is Kind.NAME]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("刚才张阿姨说血压高，赵姐也听见了，请问沈工在吗？", ["张", "赵", "沈"]),
        ("蔡总住院了，顾嫂陪着，隔壁潘叔看门。", ["蔡", "顾", "潘"]),
        ("问老徐，叫小薛来，阿潘说好。", ["老徐", "小薛", "阿潘"]),
        ("昨天郝律师与魏警官到场", ["郝", "魏"]),
    ],
)
def test_surnames_are_found_where_people_are_called_by_them(text: str, names: list[str]) -> None:
    assert _names(text) == names


@pytest.mark.parametrize(
    "text",
    [
        "他很紧张老师说没事，主张医生开药，行李老师放下。",
        "小叶增生，小管扩张，老年女性，小汤勺，阿胶。",
        "桃李老师说舒张医生，慌张护士。",
    ],
)
def test_ends_of_words_are_no_surnames(text: str) -> None:
    assert _names(text) == []


def test_the_given_name_alone_is_found_where_the_full_one_stands() -> None:
    assert _names("姓名：周晓燕。今天晓燕又来了。") == ["周晓燕", "晓燕"]


def test_a_given_name_that_is_a_word_is_not_looked_for() -> None:
    assert _names("姓名：周进步。病情进步不大。") == ["周进步"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("家属：王建国 病理号已录", ["王建国"]),
        ("患者：沈桂芳，管床医生已到", ["沈桂芳"]),
    ],
)
def test_a_name_before_words_that_eponyms_stand_before_is_a_name(text: str, names: list[str]) -> None:
    assert _names(text) == names


@pytest.mark.parametrize("text", ["患者家属问白塞病能否治愈", "医生查霍夫曼征阳性", "老师讲桥本病病因"])
def test_eponyms_in_chinese_stay(text: str) -> None:
    assert _names(text) == []


@pytest.mark.parametrize("title", ["主任", "医生", "护士长", "教授", "老师", "师傅", "大夫"])
@pytest.mark.parametrize(
    "note", ["患者王建国，请刘{}会诊。", "张伟医生建议手术，刘{}同意。", "住院号20231145，沈{}查房后嘱继续观察。"]
)
def test_no_name_takes_the_beginning_of_a_title(note: str, title: str) -> None:
    text = note.format(title)
    at = text.index(title)
    assert not [span for span in DETECTOR.find([text])[0] if span.start < at + len(title) and span.end > at]
