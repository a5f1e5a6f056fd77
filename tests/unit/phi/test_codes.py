"""A long number in Chinese text is somebody's unless what stands beside it says what it counts or names."""

import pytest
from tests.found import values

from medicalgpt.phi import Detector, Kind
from medicalgpt.phi.fold import fold
from medicalgpt.phi.zh_codes import RULES

DETECTOR = Detector(detectors=("patterns",))


FOUND = [
    ("随机号2210-0473，已入组", "2210-0473"),
    ("流调编码K7730015送检", "K7730015"),
    ("腕带 48120395 核对无误", "48120395"),
    ("样品GX2204417已离心", "GX2204417"),
    ("工号５５８２０１巡视", "５５８２０１"),
    ("取件码704-18826，请尽快", "704-18826"),
    ("單號 TX-3301-882 已寄", "TX-3301-882"),
    ("回执20240077135留存", "20240077135"),
    ("visit=5503127;ward=3", "5503127"),
    ("女兒 6738 0675 ／ 病人", "6738 0675"),
    ("出生19870412，女", "19870412"),
    ("心室电极84YZD25461，植入", "84YZD25461"),
    ("（就诊卡4756-6214）多缴押金", "4756-6214"),
    ("關妹,98765281,1975-04-02,到", "98765281"),
]


@pytest.mark.parametrize(("text", "value"), FOUND, ids=[value for _, value in FOUND])
def test_a_number_that_nothing_explains_is_masked(text: str, value: str) -> None:
    assert value in values(DETECTOR, text)


EXPLAINED = [
    "病毒载量1534567，较前下降",
    "HBV-DNA 23456781 copies/ml",
    "血小板计数123456/μL",
    "共123456例，随访254311人年",
    "费用1234567元，约合234567美元",
    "国药准字H20093455，批准文号：Z20025811",
    "rs1801133位点，NM_000546，PMID 30012345",
    "执行标准GB 4806-2016，SB203580抑制p38",
    "2019-2020年度，2018-2022",
    "白细胞1000-1500，血压180120",
    "每日消耗2000000单位青霉素",
    "人口约1200000，面积960万平方公里",
]


@pytest.mark.parametrize("text", EXPLAINED)
def test_a_number_that_is_explained_stays(text: str) -> None:
    spans = [(rule.name, text[s.start : s.end]) for rule in RULES for s in rule.find(fold(text))]
    assert spans == []


def test_a_day_without_marks_is_a_date() -> None:
    (span,) = DETECTOR.find(["就诊于20230412，复诊另约"])[0]
    assert (span.kind, span.end - span.start) == (Kind.DATE, 8)
