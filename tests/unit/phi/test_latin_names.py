"""Names in Latin letters among Chinese by their shape and by the words beside them."""

import pytest
from tests.found import names

from medicalgpt.phi import Detector
from medicalgpt.phi.latin_syllables import hyphenated, run_on, syllable

DETECTOR = Detector(detectors=("patterns", "names"))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ward 5A, pt SOU Ka Yi 跌倒", "SOU Ka Yi"),
        ("覆核：AU-YEUNG Tsz Kiu，已簽", "AU-YEUNG Tsz Kiu"),
        ("驗光師Bonnie Tsui，訂金已付", "Bonnie Tsui"),
        ("informed Philo Kwok at 23:10 病房", "Philo Kwok"),
        ("病人 Desmond CHEUNG Ho Yin 要求出院", "Desmond CHEUNG Ho Yin"),
        ("護照 HSIEH MEI-LAN，覆診", "HSIEH MEI-LAN"),
        ("聯絡 Chih-hao Peng 先生", "Chih-hao Peng"),
        ("送检 XiaoYu WEI 复查", "XiaoYu WEI"),
        ("Addendum by Dr OU: 影像相同", "OU"),
        ("會診 Dr K.Y. Poon 已看", "K.Y. Poon"),
        ("由Lau TK醫生跟進", "Lau TK"),
        ("簽：YW Mok，時間無誤", "YW Mok"),
        ("影像 KWAN^SIU FUNG 已存档", "KWAN^SIU FUNG"),
        ("机票 ZHENG/LIHUA 行程", "ZHENG/LIHUA"),
        ("姓名拼音：fang meiyun，已核", "fang meiyun"),
        ("用户名: luozhiqiang 登录", "luozhiqiang"),
        ("HCA Zenaida Magbanua 發現病人", "Zenaida Magbanua"),
        ("7樓 麥SIR，借機一部", "麥"),
        ("Miss 彭 話聽日覆診", "彭"),
        ("Seen by DR CK LEUNG, RN MAGGIE YU", "CK LEUNG"),
        ("小Ken發燒，媽媽請假", "小Ken"),
        ("Mimi姐話佢食咗藥", "Mimi"),
        ("抄送 LAU Selina，已讀", "LAU Selina"),
        ("外籍看護 Do Thi Nhung，健檢", "Do Thi Nhung"),
    ],
)
def test_a_name_is_found(text: str, name: str) -> None:
    assert name in names(DETECTOR, text)


@pytest.mark.parametrize(
    "text",
    [
        "住 Ngau Tau Kok 及 Sham Shui Po，轉 Tuen Mun 門診",
        "Le Fort II 型骨折，Van Gogh 综合征，Le Bag 试验",
        "方用 Xiao Yao San，Lung Fu San 加减",
        "Lung CT，Chest Wall，Barrett Lung，Kaplan Man 选项",
        "WIFE informed, CT Lung Base, GI Bleed, ECG Sin Tach 正常",
        "单位 mg/ml，pH^2，A^B 型，AND/OR 条件",
        "name: lung cancer，用户名: admin，patient: stable 病情",
    ],
)
def test_places_medicines_and_words_stay(text: str) -> None:
    assert names(DETECTOR, text) == []


def test_no_word_for_a_person_becomes_part_of_a_name() -> None:
    assert names(DETECTOR, "腫瘤科。Wife POON Wai Kuen 要求會診") == ["POON Wai Kuen"]


@pytest.mark.parametrize("word", ["xian", "zhuang", "tsz", "kwok", "ng", "hsieh", "chih", "tsui", "leung", "yuet"])
def test_syllables_are_known(word: str) -> None:
    assert syllable(word)


@pytest.mark.parametrize("word", ["chest", "blood", "wall", "queenie", "xr", "", "strand"])
def test_other_words_are_none(word: str) -> None:
    assert not syllable(word)
    assert not run_on(word)


def test_runs_of_syllables() -> None:
    assert run_on("jianguo")
    assert run_on("xiaoyanzi")
    assert not run_on("jian")
    assert hyphenated("mei-ling")
    assert not hyphenated("anti-dna")
