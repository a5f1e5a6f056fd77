"""Latin words and addresses right behind or before Chinese characters, and what people say behind "Patient:"."""

import pytest

from medicalgpt.phi import Detector
from medicalgpt.phi.fold import latin
from medicalgpt.phi.kinds import Kind

DETECTOR = Detector(detectors=("patterns", "names"))


def found(text: str) -> list[str]:
    (spans,) = DETECTOR.find([text])
    return [text[span.start : span.end] for span in spans]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("邮箱wang@163.com", "wang@163.com"),
        ("請寄到a.b@x.com.tw謝謝", "a.b@x.com.tw"),
        ("メールはk@x.jpです", "k@x.jp"),
        ("服务器IP为10.23.44.5，请登录", "10.23.44.5"),
        ("见www.example.cn/a1页面", "www.example.cn/a1"),
        ("患者John Smith来诊", "John Smith"),
    ],
)
def test_an_ideograph_is_a_border(text: str, value: str) -> None:
    assert value in found(text)


def test_places_stay_what_they_were() -> None:
    text = "王小明John，kana かな, 한글 and 𠀀x"
    assert len(latin(text)) == len(text)
    assert all(a == b or b == "、" for a, b in zip(text, latin(text), strict=True))
    assert "John" in latin(text)


@pytest.mark.parametrize(
    "text",
    ["Patient: I have a cough.", "Doctor: Okay, let me see.", "Patient: Good, thank you.", "Mother: Yeah, he did."],
)
def test_what_is_said_is_no_name(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Patient: Maria Lopez", "Maria Lopez"),
        ("Patient: Smith, John", "Smith, John"),
        ("Doctor name: Young", "Young"),
        ("Nurse: J. Keller", "J. Keller"),
    ],
)
def test_a_name_behind_a_person_is_one(text: str, value: str) -> None:
    assert value in found(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        *((text, []) for text in ("The drip has a line called cannula.", "A PICC line infection was found.")),
        *(
            (text, [])
            for text in ("The helpline: nurses answer.", "Go online: patients read it.", "first-line treatment")
        ),
        ("LINE：wang_xm88", ["wang_xm88"]),
        ("請加LINE wangxm88", ["wangxm88"]),
        ("line ID: wangxm88", ["wangxm88"]),
        ("患者Line帳號 abc12345", ["abc12345"]),
        ("微信：wangxiaoming", ["wangxiaoming"]),
    ],
)
def test_the_messenger_is_no_line_of_a_drip(text: str, found: list[str]) -> None:
    (spans,) = DETECTOR.find([text])
    assert [text[s.start : s.end] for s in spans if s.kind is Kind.CHAT] == found
