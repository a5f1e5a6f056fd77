"""Institutions that are named, and those that are only spoken of."""

import pytest
from tests.found import values

from medicalgpt.phi import Detector

DETECTOR = Detector(detectors=("patterns",))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("去年在肥东市肿瘤防治中心做过一次全麻", "肥东市肿瘤防治中心"),
        ("在桂园社区卫生服务中心王建国手里吃药", "桂园社区卫生服务中心"),
        ("而同期安宁县中西医结合医院监控中仅见一人", "安宁县中西医结合医院"),
        ("HIS|康邦肾病医院|LIS", "康邦肾病医院"),
        ("轉診單　原診治院所長春佳恩診所　建議", "長春佳恩診所"),
        ("送抵沙田康妍診所　交護士接收", "沙田康妍診所"),
        ("受僱於恒晉清潔工程有限公司，入院", "恒晉清潔工程有限公司"),
        ("宏利达铸造厂员工，夜班操作冲床", "宏利达铸造厂"),
        ("在金色摇篮幼儿园上学", "金色摇篮幼儿园"),
        ("住民由松柏護老院送來", "松柏護老院"),
    ],
)
def test_a_named_institution_is_found(text: str, name: str) -> None:
    assert any(name in value for value in values(DETECTOR, text))


@pytest.mark.parametrize(
    "text",
    [
        "建议去正规医院，三甲医院，某市某医院，您好哪家医院好。",
        "国内著名的综合医院，基层卫生院，精神卫生中心，妇幼保健院。",
        "与此同时患者还要留意决定一家权威医院诊病。",
        "被送入急诊室，到医院看病，在当地医院治疗。",
    ],
)
def test_an_institution_that_is_spoken_of_stays(text: str) -> None:
    assert values(DETECTOR, text) == []
