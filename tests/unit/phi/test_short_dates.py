"""Days without a year, with a short one or of the lunar calendar are found where they are days; fractions, scores and versions stay."""

import re

import pytest
from tests.found import values

from medicalgpt.phi import Detector, Kind
from medicalgpt.phi.fold import fold
from medicalgpt.phi.zh_short_dates import RULES

DETECTOR = Detector(detectors=("patterns",))

FOUND = [
    ("患者于23.8.24入院", "23.8.24"),
    ("24/7/23行腹腔镜", "24/7/23"),
    ("随访（１９－４－２５）家属到场", "１９－４－２５"),
    ("回診112/6/5", "112/6/5"),
    ("拆線 113.11.2", "113.11.2"),
    ("覆診22/6/19", "22/6/19"),
    ("下次抽血3/8", "3/8"),
    ("于3/8入院", "3/8"),
    ("改到1/2(三)門診", "1/2"),
    ("短訊：1/10下晝4:30見", "1/10"),
    ("病假1/12至2月13號", "1/12"),
    ("住院3/8-3/12，带药", "3/8-3/12"),
    ("志愿者石榴 10/14。", "10/14"),
    ("於3.15手術", "3.15"),
    ("收案1120308，", "1120308"),
    ("農曆正月初三覆診", "農曆正月初三"),
    ("甲辰年腊月十七记", "甲辰年腊月十七"),
    ("发病于腊月廿八", "腊月廿八"),
    ("六月廿三复诊", "六月廿三"),
    ("三月八号复查", "三月八号"),
    ("112年3月8日門診", "112年3月8日"),
    ("98年9月起服藥", "98年9月"),
    ("3月8日-12日住院", "3月8日-12日"),
    ("享壽101，", "101"),
    ("陈某，女，93，", "93"),
    ("床3 M/95 肺炎", "95"),
    ("遗失就诊卡（尾号1900）", "1900"),
    ("身份证后四位：319X", "319X"),
    ("信用卡末四碼 7204", "7204"),
    ("用户@moon_2207 来信", "@moon_2207"),
    ("工号=704418 ip=", "704418"),
    ("入院／22/3/13／责护", "22/3/13"),
    ("代码335107，23-5-1出现皮疹", "23-5-1"),
    ("儿科11/3巡房", "11/3"),
    ("拟12/4包机回国", "12/4"),
    ("二诊拟方，三月十二。", "三月十二"),
    ("回鄉卡C79936385，2015.05於", "2015.05"),
    ("受试者鉴认代码335-10707，", "335-10707"),
    ("匯入帳戶(700)77808820313922，", "(700)77808820313922"),
    ("上班途中騎車RVY-2009自摔", "RVY-2009"),
    ("囡囡打+44 7700 900317。", "+44 7700 900317"),
    ("NOK informed at 5238 3721 by", "5238 3721"),
    ("媽媽，病歷0333-5851、", "0333-5851"),
]


@pytest.mark.parametrize(("text", "value"), FOUND, ids=[value for _, value in FOUND])
def test_a_short_date_or_number_is_found(text: str, value: str) -> None:
    assert value in values(DETECTOR, text)


STAY = [
    "每次3/8片，每日1/2支，约1/3量",
    "血压120/80mmHg，BP 10/6",
    "疼痛评分7/10，视力4/5，左眼6/12，肌力5/5级",
    "约2/3患者出院，其中1/4复查，占1/3",
    "上1/3至1/2段，1/2-3/4杯",
    "位于1/3处，超过1/2起效，化疗2/6周期",
    "前白蛋白3.8，血钾于3.5以下，于5.2在正常范围",
    "SPSS 17.0.1，版本12.3.4，酶EC 1.1.1.27，第3.2.1节",
    "泼尼松30-10-5 mg，比例1:2:3，10-12-14周",
    "E11.9，C50.911，I10，M51.202",
    "五月五日采，阴干；三月三日,采茎；三月三十例",
    "享年82，男，45，M/67",
    "阳性(12/25, 48%)，24/7服务",
    "女，110/70，心率男、98次/分，年龄90±5",
]


@pytest.mark.parametrize("text", STAY)
def test_what_only_looks_like_a_date_stays(text: str) -> None:
    spans = [(rule.name, text[s.start : s.end]) for rule in RULES for s in rule.find(fold(text))]
    assert spans == []


@pytest.mark.parametrize(
    "text",
    [
        "批号20240315，有效期24个月",
        "国械注准20193070123",
        "衛署藥製字第049876號",
        "藥物註冊編號HK-65432",
        "接种疫苗（批号202309A12）",
        "PMID 33814209",
        "血压BP150-160",
        "健保諮詢專線0800-030-598",
    ],
)
def test_a_public_number_stays(text: str) -> None:
    assert values(DETECTOR, text) == []


def test_a_last_digit_of_a_card_is_no_date() -> None:
    (span,) = DETECTOR.find(["银行卡尾号0308"])[0]
    assert span.kind is Kind.OTHER_ID


@pytest.mark.parametrize("text", ["1/" * 20_000, "3/8-" * 10_000, "23.8." * 10_000, "三月" * 20_000, "@a.b_" * 10_000])
def test_hostile_text_is_read_in_bounded_time(text: str) -> None:
    assert all(isinstance(rule.regex, re.Pattern) for rule in RULES)
    assert sum(1 for rule in RULES for _ in rule.find(text)) < len(text)


@pytest.mark.parametrize("text", ["陶某自述9/17从外地返回", "约3/5面谈，家长到场", "<td>5/20</td>"])
def test_a_day_that_is_told_or_a_field_by_itself_is_a_date(text: str) -> None:
    assert any("/" in value and value[0].isdigit() for value in values(DETECTOR, text))
