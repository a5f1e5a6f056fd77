"""Masks, surrogates, shifted dates and nothing at all."""

import re

import pytest

from medicalgpt.errors import ConfigError
from medicalgpt.phi import Detector, Kind, Operator, Span
from medicalgpt.phi.dates import moved
from medicalgpt.phi.kinds import holds_mask, mask_of
from medicalgpt.phi.surrogates import LONGEST_SHIFT, Surrogates

KEY = b"0123456789abcdef"
FIELDS = ["患者王建国，电话13812345678，2023年4月12日入院。", "王建国于2023年4月20日出院，由李秀英陪同。"]
DETECTOR = Detector()


def _applied(name: str, key: bytes | None = None, fields: list[str] = FIELDS, patient: str | None = None) -> list[str]:
    return Operator(name, key).apply_document(fields, DETECTOR.find_document(fields), patient)


def test_a_mask_is_a_label_and_a_number_that_one_value_keeps_in_all_fields() -> None:
    assert _applied("mask") == ["患者[姓名1]，电话[电话1]，[日期1]入院。", "[姓名1]于[日期2]出院，由[姓名2]陪同。"]


def test_labels_follow_the_script() -> None:
    assert _applied("mask", fields=["病人林志明，由黃俊傑醫師診治，電話0912-345-678。"]) == [
        "病人[姓名1]，由[姓名2]醫師診治，電話[電話1]。"
    ]
    assert _applied("mask", fields=["Dr. Smith saw him on May 3, 2023."]) == ["Dr. [NAME1] saw him on [DATE1]."]


@pytest.mark.parametrize("kind", list(Kind))
def test_every_mask_is_known_as_one_again(kind: Kind) -> None:
    assert all(holds_mask(f"then {mask_of(kind, script, 12)} came") for script in range(3))


@pytest.mark.parametrize(
    "text", ["[1] Smith et al.", "Fill in [NAME] here", "[NAME1", "姓名1", "[注1] 姓名", "see [Table 1]"]
)
def test_what_is_no_mask(text: str) -> None:
    assert not holds_mask(text)
    assert holds_mask(f"{text} [ NAME 1 ]")


def test_drop_leaves_nothing() -> None:
    assert _applied("drop", fields=["Call 555-123-4567 now."]) == ["Call  now."]


def test_shift_moves_all_dates_alike_and_masks_the_rest() -> None:
    first, second = _applied("shift", KEY)
    assert first.startswith("患者[姓名1]，电话[电话1]，")
    days = [re.search(r"(\d{4})年(\d{1,2})月(\d{1,2})日", field) for field in (first, second)]
    assert all(days)
    assert "2023年4月12日" not in first
    from datetime import date

    one, two = (date(*map(int, m.groups())) for m in days if m)
    assert (two - one).days == 8


def test_surrogates_keep_the_form_and_the_person() -> None:
    first, second = _applied("surrogate", KEY)
    name = first.removeprefix("患者").partition("，")[0]
    assert re.fullmatch(r"[\u4e00-\u9fff]{3}", name)
    assert name != "王建国"
    assert second.startswith(name)
    assert re.search(r"电话\d{11}，", first)
    assert "13812345678" not in first
    assert "王建国" not in first + second


def test_surrogates_are_the_same_for_a_key_and_a_patient_and_others_for_others() -> None:
    text = ["患者王建国来诊。"]
    one = _applied("surrogate", KEY, text, "p1")
    assert one == _applied("surrogate", KEY, text, "p1")
    assert len({one[0], *(_applied("surrogate", KEY, text, f"p{i}")[0] for i in range(2, 8))}) > 3
    assert len({_applied("surrogate", bytes([i]) * 16, text, "p1")[0] for i in range(8)}) > 3


def test_parts_of_a_name_stay_those_of_one_person() -> None:
    made = Surrogates(KEY, "document")
    full = made.value(Kind.NAME, "Robert Thompson")
    assert made.value(Kind.NAME, "Robert") == full.split()[0]
    assert made.value(Kind.NAME, "THOMPSON").casefold() == full.split()[1].casefold()
    assert made.value(Kind.NAME, "王小明")[1:] == made.value(Kind.NAME, "李小明")[1:]


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_a_surrogate_that_is_not_the_value(kind: Kind) -> None:
    value = {
        Kind.EMAIL: "a.b@c.com",
        Kind.URL: "https://a.com/b",
        Kind.IP: "10.0.0.7",
        Kind.AGE: "95",
        Kind.NAME: "Anna S.",
    }.get(kind, "AB-12345678")
    made = Surrogates(KEY, "document").value(kind, value)
    assert made
    assert made != value


def test_no_shift_is_zero_or_longer_than_a_year() -> None:
    days = {Surrogates(KEY, str(i)).days for i in range(400)}
    assert 0 not in days
    assert max(map(abs, days)) <= LONGEST_SHIFT
    assert min(days) < 0 < max(days)


MOVED = [
    ("2023年4月12日", "2023年5月12日"),
    ("2023-04-12", "2023-05-12"),
    ("20230412", "20230512"),
    ("04/12/23", "05/12/23"),
    ("31/12/2022", "30/1/2023"),
    ("April 12th, 2023", "May 12th, 2023"),
    ("Jan 15 '23", "Feb 14 '23"),
    ("2 MAR 2021", "1 APR 2021"),
    ("4月12日", "5月12日"),
    ("民國112年3月1日", "民國112年3月31日"),
    ("112/3/1", "112/3/31"),
    ("3/8", None),  # either may be the month
    ("May 2021", "June 2021"),
    ("Dec 24, 2022", "Jan 23, 2023"),
    ("99/99/99", None),
    ("二〇二三年四月", None),
]


@pytest.mark.parametrize(("value", "later"), MOVED, ids=[v for v, _ in MOVED])
def test_a_date_moves_by_thirty_days_in_its_own_form(value: str, later: str | None) -> None:
    if value == "May 2021":  # three letters may be May or its short form
        assert moved(value, 30) in ("Jun 2021", "June 2021")
    else:
        assert moved(value, 30) == later


def test_a_date_of_unknown_form_is_masked_not_kept() -> None:
    (text,) = _applied("shift", KEY, ["于二〇二三年四月十二日手术"])
    assert text == "于[日期1]手术"


@pytest.mark.parametrize(
    ("name", "key", "said"),
    [
        ("hide", None, "allowed are mask, surrogate, shift, drop"),
        ("surrogate", None, "needs a key of at least 16 bytes; none came"),
        ("shift", b"short", "5 bytes came"),
        ("mask", KEY, "uses no key"),
    ],
)
def test_wrong_settings_are_named(name: str, key: bytes | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Operator(name, key)


def test_spans_that_do_not_fit_are_refused() -> None:
    operator = Operator("mask")
    one, two = Span(0, 3, Kind.NAME, "t", 0.9), Span(2, 4, Kind.NAME, "t", 0.9)
    with pytest.raises(ValueError, match="must be in order"):
        operator.apply("abcdef", [one, two])
    with pytest.raises(ValueError, match="must be in order"):
        operator.apply("ab", [one])
    with pytest.raises(ValueError, match="needs its own list"):
        operator.apply_document(["a", "b"], [[]])
