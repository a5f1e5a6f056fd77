"""Remedies in pinyin are no names, and people with the surnames Tang, Wan or Gao are."""

import pytest
from tests.found import names

from medicalgpt.phi import Detector

DETECTOR = Detector(detectors=("patterns", "names"))


@pytest.mark.parametrize(
    "remedy",
    ["Gui Zhi Tang", "Liu Wei Di Huang Wan", "Liuwei Dihuang Wan", "Yin Qiao San", "Sheng Mai Yin",
     "Chuan Bei Pi Pa Gao", "GUI ZHI TANG", "Li Zhong Wan", "Dan Shen"],
)  # fmt: skip
@pytest.mark.parametrize("text", ["给予{}加减治疗。", "The patient took {} for two weeks.", "处方：{}，每日一剂"])
def test_a_remedy_stays(remedy: str, text: str) -> None:
    assert not names(DETECTOR, text.format(remedy))


@pytest.mark.parametrize(
    "name", ["Tang Wei", "Wei Tang", "Tang Xiaoming", "Ka Wai Tang", "Wei Ming Tang", "Wenjing Tang", "Jianzhong Gao"]
)
def test_somebody_is_found(name: str) -> None:
    assert names(DETECTOR, f"报告医生 {name} 已签。") == [name]


def test_a_herb_beside_a_sex_and_an_age_is_somebody() -> None:
    assert names(DETECTOR, "患者Dan Shen，女，45岁。") == ["Dan Shen"]
