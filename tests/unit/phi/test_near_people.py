"""Near a person what has the form of a day, a short name, a workplace or a code is personal data unless something speaks against it."""

import time

import pytest

from medicalgpt.phi import Detector

DETECTOR = Detector()
PERSON = "患者郑淑兰，电话13977120066。"


def found(text: str) -> list[str]:
    """What is found in a line of a note that tells of somebody."""
    whole = PERSON + "\n" + text
    return [whole[span.start : span.end] for span in DETECTOR.find([whole])[0] if span.start > len(PERSON)]


FOUND = [
    ("4.17 胸片未见异常", "4.17"),
    ("换尿管：7/26、8/23", "8/23"),
    ("您10-12的血报告出来了", "10-12"),
    ("补记（11.9）：夜间躁动", "11.9"),
    ("住我科5.3-5.12", "5.3-5.12"),
    ("Ward round 21/7: stable", "21/7"),
    ("收案 113.04.28 電訪", "113.04.28"),
    ("十月初六摔的", "十月初六"),
    ("8月底复诊", "8月底"),
    ("3、4、5号禁食", "3、4、5号"),
    ("闺女（嘟嘟）陪着", "嘟嘟"),
    ("妮妮奶奶：孩子没吃药", "妮妮"),
    ("我女儿豆豆，5岁，咳嗽", "豆豆"),
    ("不要戚姐来", "戚"),
    ("Dear Connie, pls arrange", "Connie"),
    ("助護Wendy跟進", "Wendy"),
    ("收件格桑曲珍收", "格桑曲珍"),
    ("在康乐体检中心抽血", "康乐体检中心"),
    ("外院（省三院）CT", "省三院"),
    ("她說土城福山托嬰中心有腸病毒", "土城福山托嬰中心"),
    ("QEH轉來", "QEH"),
    ("送回青桥镇后湾屯", "青桥镇后湾屯"),
    ("被6620-KT撞", "6620-KT"),
    ("X光：086612D 113年7月2日", "086612D"),
    ("就诊卡8810 2231 5567", "8810 2231 5567"),
]
KEPT = [
    "肌力3/5，GCS 13/15，视力6/9",
    "血钾3.5，血糖7.8，CRP 12.3",
    "x 2/7，prn",
    "补液1.5～2.5 L",
    "检测限分别为1.88、2.5 μg/L",
    "BMI 26.7，体重68.5",
    "宝宝在哭",
    "小柴胡汤加减",
    "奥美拉唑20mg，美罗培南1.0g",
    "考虑购买牙科保险",
    "拿起电子烟",
    "5号床，12号楼",
]


@pytest.mark.parametrize(("text", "value"), FOUND)
def test_what_may_be_a_persons_is_found(text: str, value: str) -> None:
    assert any(value in one for one in found(text))


@pytest.mark.parametrize("text", KEPT)
def test_what_counts_or_names_something_stays(text: str) -> None:
    assert not found(text)


@pytest.mark.parametrize("text", ["4.17 胸片未见异常", "您10-12的血报告出来了", "夜间（11.9）躁动"])
def test_without_a_person_nothing_is_asked(text: str) -> None:
    assert DETECTOR.find([text]) == [[]]


def test_a_person_of_one_field_is_near_the_next() -> None:
    fields = [PERSON, "4.17 胸片未见异常"]
    _, (day,) = DETECTOR.find_document(fields)
    assert (day.start, day.end) == (0, 4)


def test_a_person_far_off_is_not_near() -> None:
    text = PERSON + "本品为片剂，口服。" * 60 + "\n您10-12的血报告出来了"
    assert all(span.end <= len(PERSON) for span in DETECTOR.find([text])[0])


def test_who_asks_for_english_alone_has_no_second_look() -> None:
    detector = Detector(("en",))
    text = "Mr. John Miller, phone 212-555-0100.\n住院10-12的报告"
    assert all(text[span.start : span.end] != "10-12" for span in detector.find([text])[0])


@pytest.mark.parametrize(
    "text",
    [
        "1.1、" * 4000,
        "1/1-1/1-" * 3000,
        "小" * 12_000,
        "阿" * 12_000,
        "院" * 12_000,
        "达瓦" * 6000,
        "A1-" * 4000,
        "月" * 12_000,
        "一" * 12_000,
    ],
)
def test_hostile_text_is_read_in_time_that_grows_with_its_length(text: str) -> None:
    detector = Detector(detectors=("patterns", "names"))
    began = time.process_time()
    detector.find([PERSON + text])
    assert time.process_time() - began < 10
