"""How people are called behind their surname, and by their given name alone: rules, without the network."""

import pytest
from tests.found import names

from medicalgpt.phi import Detector

DETECTOR = Detector(detectors=("patterns", "names"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("刚才张阿姨说血压高，赵姐也听见了，请问沈工在吗？", ["张", "赵", "沈"]),
        ("蔡总住院了，顾嫂陪着，隔壁潘叔看门。", ["蔡", "顾", "潘"]),
        ("问老徐，叫小薛来，阿潘说好。", ["老徐", "小薛", "阿潘"]),
        ("昨天郝律师与魏警官到场", ["郝", "魏"]),
        ("建议闻女士复查，同意孔主任，反馈高叔叔情绪低落。", ["闻", "孔", "高"]),
        ("姓名：丁建国。夜间听到丁某骂人，柏某否认。", ["丁建国", "丁"]),
        ("診斷由霍醫生解釋，凌姑娘覆電，簡婆婆請假。", ["霍", "凌", "簡"]),
        ("俺娘叫郝玉兰，俺姓顾，村里鞠婶子说这儿看腿行。", ["郝玉兰", "顾", "鞠"]),
        ("联系代护士，\n税教授刚来电话，向阿姨回家了。", ["代", "税", "向"]),
        ("阿媽話溫生落咗街，小麻今天没吃药。", ["溫", "小麻"]),
        ("护士小鲍、小甄，日夜照料。", ["小鲍", "小甄"]),
    ],
)
def test_surnames_are_found_where_people_are_called_by_them(text: str, wanted: list[str]) -> None:
    assert names(DETECTOR, text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "他很紧张老师说没事，主张医生开药，行李老师放下。",
        "小叶增生，小管扩张，老年女性，小汤勺，阿胶。",
        "桃李老师说舒张医生，慌张护士。",
        "各位专家、相关医生、本院医生、全科医生都说好，谢谢医生，謝謝醫師。",
        "乙肝大三阳患者，祝患者早日康复，我伯伯吃晚饭。",
        "某市某县某医院，暴露于某因素，观察单位某测定值。",
        "女医生，副主任，名医生，好老师，3小时，老年，花生糖，姓名，百家姓。",
        "小田螺，老白干，阿胶糕，小关节紊乱，小田地。",
    ],
)
def test_ends_of_words_are_no_surnames(text: str) -> None:
    assert names(DETECTOR, text) == []


def test_the_given_name_alone_is_found_where_the_full_one_stands() -> None:
    assert names(DETECTOR, "姓名：周晓燕。今天晓燕又来了。") == ["周晓燕", "晓燕"]


def test_a_given_name_that_is_a_word_is_not_looked_for() -> None:
    assert names(DETECTOR, "姓名：周进步。病情进步不大。") == ["周进步"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("家属：王建国 病理号已录", ["王建国"]),
        ("患者：沈桂芳，管床医生已到", ["沈桂芳"]),
    ],
)
def test_a_name_before_words_that_eponyms_stand_before_is_a_name(text: str, wanted: list[str]) -> None:
    assert names(DETECTOR, text) == wanted


@pytest.mark.parametrize("text", ["患者家属问白塞病能否治愈", "医生查霍夫曼征阳性", "老师讲桥本病病因"])
def test_eponyms_in_chinese_stay(text: str) -> None:
    assert names(DETECTOR, text) == []


@pytest.mark.parametrize("title", ["主任", "医生", "护士长", "教授", "老师", "师傅", "大夫"])
@pytest.mark.parametrize(
    "note", ["患者王建国，请刘{}会诊。", "张伟医生建议手术，刘{}同意。", "住院号20231145，沈{}查房后嘱继续观察。"]
)
def test_no_name_takes_the_beginning_of_a_title(note: str, title: str) -> None:
    text = note.format(title)
    at = text.index(title)
    assert not [span for span in DETECTOR.find([text])[0] if span.start < at + len(title) and span.end > at]


def test_a_surname_before_a_title_is_found_where_the_full_name_stands() -> None:
    assert names(DETECTOR, "姓名：买玉琴。家属同意买主任，听说买某来过。") == ["买玉琴", "买", "买"]
    assert names(DETECTOR, "姓名：关玉琴。相关医生，机关主任。") == ["关玉琴"]
