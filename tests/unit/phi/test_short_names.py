"""Short names told by the words around them, and by what else the document holds."""

import pytest
from tests.found import names

from medicalgpt.phi import Detector

DETECTOR = Detector(detectors=("patterns", "names"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("護理師到場，司機芸哥。", ["芸"]),
        ("保洁翠姐，今天请假。", ["翠"]),
        ("教室里班主任查老师在场。", ["查"]),
        ("我是心理中心计老师，请回电。", ["计"]),
        ("昨天被一個連姓家屬投訴。", ["連"]),
        ("我家雪婷终于退烧了。", ["雪婷"]),
        ("咨/ 晓薇，你愿意说吗？", ["晓薇"]),
        ("出生通報 母 陳林美玉（已核）", ["陳林美玉"]),
        ("<name>屈怡</name>", ["屈怡"]),
        ('{"patientName":"管薇"}', ["管薇"]),
        ("编码员 智媛\n主要诊断", ["智媛"]),
        ("侍诊笔记：秦师诊一彭姓妇，崩漏", ["秦", "彭"]),
        ("那个芸姐啊你来看一下", ["芸"]),
        ("朵朵妈妈来电", ["朵朵"]),
        ("秀娟媽媽話佢無瞓", ["秀娟"]),
        ("，阿財伯騎車跌倒，阿強說好", ["阿財", "阿強"]),
    ],
)
def test_a_short_name_is_found(text: str, wanted: list[str]) -> None:
    assert names(DETECTOR, text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "司机大哥，同事表姐，护士姐姐，老师叔叔，医生说二叔的肝炎好转。",
        "校医室仔细检查后医生说没事。",
        "班主任老师说好，中心主任、内科主任、各科主任都来了。",
        "药师诊断，奶奶妈妈都来，宝宝爸爸说好，阿胶一钱，阿姨说好。",
        "百姓家属，同姓家属，改姓患者，一個貴姓家屬。",
        "我家孩子终于退烧了，我家小区很吵。",
        "结果：正常，你不必担心。您好，你来吧。",
        "参考白前紫菀，金银花露，马黄麻杏。",
        "负责人 签字\n检查者 腹部\n患者：头晕，乏力。",
        "某病在某年内发生，患者王某，男，45岁。",
    ],
)
def test_words_that_look_alike_stay(text: str) -> None:
    assert names(DETECTOR, text) == []


def test_one_is_called_by_the_last_character_of_a_name_of_the_document() -> None:
    assert names(DETECTOR, "姓名：陈美玲。阿玲说痛，玲姐也来了。") == ["陈美玲", "阿玲", "玲"]
    assert names(DETECTOR, "姓名：陈美玲。阿胶一钱，他姐也来了。") == ["陈美玲"]


def test_two_surnames_are_one_before_a_title() -> None:
    assert names(DETECTOR, "母 陳林美玉（已核）。陳林女士明日覆診。") == ["陳林美玉", "陳林"]


def test_a_surname_before_mou_is_somebody_where_numbers_of_people_stand() -> None:
    told = "护士钟某态度好，电话13800138000"
    assert names(DETECTOR, told) == ["钟"]
    assert names(DETECTOR, "护士钟某态度好") == []
    assert names(DETECTOR, "某病，有某种，13800138000，时某日") == []
