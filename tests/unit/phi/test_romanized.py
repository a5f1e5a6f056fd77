"""Chinese names in Latin letters, and what only looks like one."""

import pytest

from medicalgpt.phi import Detector, Kind

DETECTOR = Detector(detectors=("patterns", "names"))


def names(text: str) -> list[str]:
    return [text[s.start : s.end] for s in DETECTOR.find([text])[0] if s.kind is Kind.NAME]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("送检者Shen Yuehua，女", "Shen Yuehua"),
        ("姓名拼音 PENG DEHUAI 已核", "PENG DEHUAI"),
        ("病人：KWOK Siu Fan 覆診", "KWOK Siu Fan"),
        ("轉介 Au Yeung Wing Sze（女）", "Au Yeung Wing Sze"),
        ("Zhong, Jia-ling 的报告", "Zhong, Jia-ling"),
        ("随诊 Yuying Qin 一年", "Yuying Qin"),
    ],
)
def test_a_name_in_latin_letters_is_found(text: str, name: str) -> None:
    assert names(text) == [name]


@pytest.mark.parametrize(
    "text",
    [
        "方剂 Xiao Yao San 加减，一日二服",
        "练 Tai Chi 与 Qi Gong 三个月",
        "Han Chinese 人群，Hong Kong 队列",
        "采用 Gold Standard 方法，Long Term 随访",
    ],
)
def test_medicines_places_and_words_stay(text: str) -> None:
    assert names(text) == []
