"""Homes, shops, workshops, schools and associations that are named, and words that only end like them."""

import pytest
from tests.found import values

from medicalgpt.phi import Detector
from medicalgpt.phi.zh_establishments import RULES

DETECTOR = Detector(detectors=("patterns",))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("院舍：晴暉康樂長者鄰舍中心。", "晴暉康樂長者鄰舍中心"),
        ("他在隆鑫达装卸运输队上班", "隆鑫达装卸运输队"),
        ("投保單位瑞豐泰水電材料行，昨日上班途中跌倒", "瑞豐泰水電材料行"),
        ("覆診記錄（元朗栢倫牙科）已傳真", "元朗栢倫牙科"),
        ("去坪洲頤逸護養院探梁伯", "坪洲頤逸護養院"),
        ("我哋係泰昇記裝修工程開工", "泰昇記裝修工程"),
        ("|溪棠月子会所|三楼|", "溪棠月子会所"),
        ('"display":"松龄安康护理院"', "松龄安康护理院"),
        ("孩子在绿茵茵托儿所二班", "绿茵茵托儿所"),
        ("缺勤：槐荫里幼儿园大班两人", "槐荫里幼儿园"),
        ("工地位于昌荣鼎项目部门口", "昌荣鼎项目部"),
        ("其单位嘉裕粮食储备库领导已知", "嘉裕粮食储备库"),
        ("要求轉恆豐懷恩分院，已核", "恆豐懷恩分院"),
        ("不慎遗失皓晟口腔住院票据", "皓晟口腔"),
        ("喺度跌親，轉QMH急診", "QMH"),
        ("後轉中國附醫，已住院", "中國附醫"),
        ("由聖雅各福利會員工陪同", "聖雅各福利會"),
    ],
)
def test_a_named_establishment_is_found(text: str, name: str) -> None:
    assert any(name in value for value in values(DETECTOR, text))


@pytest.mark.parametrize(
    "text",
    [
        "月子中心交班：一切正常。附近的药店、便利店和菜市场都可以买。",
        "在学校心理咨询室做了测验，去健身房锻炼。",
        "时处置并报告有关部门，感染科会诊。",
        "心室、脑室、库欣病、左房，红细胞比容，血库，骨库。",
        "单价体而不能联会，说明配子不育。",
        "在工地、食堂、宿舍、网吧、超市都不戴口罩。",
    ],
)
def test_words_that_end_like_one_stay(text: str) -> None:
    assert values(DETECTOR, text) == []


def test_the_last_characters_that_are_asked_first_are_those_of_the_words() -> None:
    names = ["溪棠月子会所", "隆鑫达运输队", "栢倫牙科", "松龄护理院", "绿茵茵托儿所", "瑞豐泰水電材料行", "槐荫里书院"]
    rule = next(rule for rule in RULES if rule.name == "establishment")
    assert [[m.group("v") for m in rule.regex.finditer(f"（{name}）")] for name in names] == [[name] for name in names]
