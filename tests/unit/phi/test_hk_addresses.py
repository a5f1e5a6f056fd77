"""Addresses of Hong Kong in English among Chinese, rooms of estates, and what is like them."""

import pytest
from tests.found import values

from medicalgpt.phi import Detector

DETECTOR = Detector(detectors=("patterns",))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (
            "回郵：Flat C, 9/F, Sunrise Court, 27 Wing Fat Street, Yuen Long。",
            "Flat C, 9/F, Sunrise Court, 27 Wing Fat Street, Yuen Long",
        ),
        (
            "地址：Rm 803, Hoi Ming House, Hoi Lai Est, Sham Shui Po 日期",
            "Rm 803, Hoi Ming House, Hoi Lai Est, Sham Shui Po",
        ),
        ("送至 118 Pei Ho Street, Kowloon 收件", "118 Pei Ho Street, Kowloon"),
        ("於深水埗元州邨元豐樓1706室被擊中", "深水埗元州邨元豐樓1706室"),
        ("住西環卑路乍街88號5字樓前座。", "西環卑路乍街88號5字樓前座"),
        ("工作地桃園市龜山區文二街15號3樓，已核", "桃園市龜山區文二街15號3樓"),
    ],
)
def test_an_address_is_found(text: str, address: str) -> None:
    assert any(address in value for value in values(DETECTOR, text))


@pytest.mark.parametrize(
    "text", ["G/F 比值 0.8，Block A 与 Block B 设计", "Room Air 下 SpO2 96%，Unit 1 of blood 已輸", "3/F test 正常"]
)
def test_ratios_and_designs_stay(text: str) -> None:
    assert values(DETECTOR, text) == []


@pytest.mark.parametrize("text", ["车架号：LABCDEFGH12345678。", "VIN：LJDKAA242G0123456，"])
def test_a_vehicle_identification_is_found_behind_its_label(text: str) -> None:
    assert len(values(DETECTOR, text)) == 1
