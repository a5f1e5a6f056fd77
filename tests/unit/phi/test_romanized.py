"""Chinese names in Latin letters, and what only looks like one."""

import pytest
from tests.found import names

from medicalgpt.phi import Detector

DETECTOR = Detector(detectors=("patterns", "names"))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("送检者Shen Yuehua，女", "Shen Yuehua"),
        ("姓名拼音 PENG DEHUAI 已核", "PENG DEHUAI"),
        ("病人：KWOK Siu Fan 覆診", "KWOK Siu Fan"),
        ("轉介 Au Yeung Wing Sze（女）", "Au Yeung Wing Sze"),
        ("Zhong, Jia-ling 的报告", "Zhong, Jia-ling"),
        ("随诊 Yuying Qin 一年", "Yuying Qin"),
        ("下班過去，Siti Handayani請假返鄉", "Siti Handayani"),
        ("国际门诊：Olusegun Okafor，发热", "Olusegun Okafor"),
        ("护照名Zbigniew Kowalczyk，已核", "Zbigniew Kowalczyk"),
        ("D/W NS MO Dr TAM at 03:40 病房", "TAM"),
        ("腦掃描: Xiulan Zhong, M/71. 急性", "Xiulan Zhong"),
        ("LEUNG Suk Han GI bleed 兩次", "LEUNG Suk Han"),
        ("由SHUM Ka姑娘教轉移", "SHUM Ka"),
    ],
)
def test_a_name_in_latin_letters_is_found(text: str, name: str) -> None:
    assert names(DETECTOR, text) == [name]


@pytest.mark.parametrize(
    "text",
    [
        "方剂 Xiao Yao San 加减，一日二服",
        "练 Tai Chi 与 Qi Gong 三个月",
        "Han Chinese 人群，Hong Kong 队列",
        "采用 Gold Standard 方法，Long Term 随访",
        "Helicobacter Pylori阳性，Barrett Esophagus，Kaplan Meier法",
        "选项\nA. Wernicke区\nB. Broca区\nC. 颞上回",
    ],
)
def test_medicines_places_and_words_stay(text: str) -> None:
    assert names(DETECTOR, text) == []
