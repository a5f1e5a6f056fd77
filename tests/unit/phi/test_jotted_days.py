"""Days jotted down with a point, a dash or 月 alone are found where what stands beside them tells; values, ranges and sections stay."""

import pytest

from medicalgpt.phi import Detector, Kind

DETECTOR = Detector(detectors=("patterns",))


def dates(text: str) -> list[str]:
    """The days that are found in a text."""
    return [text[span.start : span.end] for span in DETECTOR.find([text])[0] if span.kind is Kind.DATE]


FOUND = [
    ("复查时间改成9.12了", "9.12"),
    ("患者需请假至8.20，家长同意", "8.20"),
    ("护士长通知11.6下午开会", "11.6"),
    ("签名：王丽华 3.5", "3.5"),
    ("限期手术。王丽华，08-14。", "08-14"),
    ("（3.5）换药", "3.5"),
    ("张伟 男 36 8.18 右下智齿", "8.18"),
    ("随访 7.26 拨打家属电话", "7.26"),
    ("11月6夜里两点多发作", "11月6"),
    ("2023年9月12入院", "2023年9月12"),
    ("2024.3起服用二甲双胍", "2024.3"),
    ("覆診期：17-12 9:15am", "17-12"),
    ("05/Mar/2024 抽血", "05/Mar/2024"),
    ("末次月经9.3，周期规律", "9.3"),
    ("周一（9.12）停电", "9.12"),
    ("休9.12-9.14三天", "9.12-9.14"),
    ("于3.5、3.12输血", "3.12"),
    ("領藥期間5/27-2024-01-24，", "2024-01-24"),
    ("領藥期間114/03/17-2月18號，", "114/03/17"),
    ("住院日程07/24取件", "07/24"),
    ("noted since 110.06.14 呼吸喘", "110.06.14"),
    ("大姐：3/10我陪媽去", "3/10"),
    ("去年腊月二十三摔倒", "去年腊月二十三"),
    ("生于五六年三月", "五六年三月"),
    ("交班11/6：3床发热", "11/6"),
]
KEPT = [
    "血钾3.5复查3.8，继续补钾",
    "11:40复查2.9",
    "INR 2.5，继续华法林",
    "正常值3.5-5.3，偏高",
    "3.1 手术适应证",
    "剂量约3.5以上者慎用",
    "病程3月2周",
    "每3月1次复查",
    "疗程3月5例有效",
    "安装1.2.3版本",
    "白蛋白低于3.5，8.2分为界",
    "视力右5/10，左8/10",
    "住院3.5天",
]


@pytest.mark.parametrize(("text", "value"), FOUND)
def test_a_jotted_day_is_found(text: str, value: str) -> None:
    assert value in dates(text)


@pytest.mark.parametrize("text", KEPT)
def test_what_looks_like_a_day_stays(text: str) -> None:
    assert not dates(text)
