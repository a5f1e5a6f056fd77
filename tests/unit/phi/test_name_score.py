"""Names by their score: each kind that earlier versions missed or took for a name, on sentences of our own."""

import pytest

from medicalgpt.phi import Detector, Kind
from medicalgpt.phi.fold import fold
from medicalgpt.phi.lac import lac
from medicalgpt.phi.name_blanks import closed
from medicalgpt.phi.name_features import family, features
from medicalgpt.phi.name_places import Place, candidates

DETECTOR = Detector()


def _names(text: str) -> list[str]:
    return [text[s.start : s.end] for s in DETECTOR.find([text])[0] if s.kind is Kind.NAME]


FOUND = {
    "surname that is a word": ("患者是大勇，男，50岁，由其妻王秀英陪同。", ["是大勇", "王秀英"]),
    "names of peoples": ("患者哈斯巴根对青霉素过敏，家属李建国签字。", ["哈斯巴根", "李建国"]),
    "blanks between characters": ("今天给黄 五 一换药，李建国在旁协助。", ["黄 五 一", "李建国"]),
    "a row of names": ("3床王建国、5床卢抗美明日出院。", ["王建国", "卢抗美"]),
    "before a verb": ("昨日周晓燕腹痛再发，李建国陪其到急诊。", ["周晓燕", "李建国"]),
    "behind a verb and a bed": ("8床骆驰明今日出院，已通知缪国富，由乔晓燕护送回家。", ["骆驰明", "缪国富", "乔晓燕"]),
    "said of oneself": ("医生您好，我叫过云山，今年四十岁。", ["过云山"]),
    "title with a rank": ("今晨王建国副主任医师看过，李明住院医师记录。", ["王建国", "李明"]),
    "begins like an ancient author": ("患者孔子轩，男，9岁。记录者叶桂芬。", ["孔子轩", "叶桂芬"]),
    "whole where the network reads a part": ("曹桂珍敬上，2020年3月2日。李建国收。", ["曹桂珍", "李建国"]),
    "familiar": ("同事小王身体一直很好。", ["小王"]),
}


@pytest.mark.parametrize("kind", FOUND)
def test_kinds_of_names_are_found(kind: str) -> None:
    text, names = FOUND[kind]
    assert set(names) <= set(_names(text))


@pytest.mark.parametrize(
    "text",
    [
        "我是大三阳患者，舒张压偏高。",
        "医师李某擅自离岗。",
        "晚上吃猪蹄子，喝水，没有发烧。",
        "对于医师的注册，由其所在医院申请。",
        "补阳益阴，温振心阳，豁痰活血。",
        "葛洪云：青蒿一握，以水二升渍。",
        "于1 周前受凉，3 年前曾行手术，患者高血压多年。",
        "木克土，水克木，金生水。",
        "肝小叶，骨小梁，肩周疼痛，黄子叶。",
        "Thomas征阳性，McMurray试验阴性，Perthes病。",
    ],
)
def test_what_is_no_name_stays(text: str) -> None:
    assert _names(text) == []


def test_blanks_are_closed_inside_runs_of_single_characters_only() -> None:
    (one,) = closed(["李明来诊。王 建 国 来诊。"])
    assert (one.index, one.text) == (0, "王建国来诊")
    assert one.opened(0, 3) == (5, 10)
    assert one.opened(2, 4) == (9, 12)
    assert one.opened(3, 5) is None  # no blank between 来 and 诊


def test_the_kind_of_a_surname() -> None:
    given = ["王建国", "欧阳明", "高建国", "是大勇", "哈斯巴根"]
    assert [family(name, 0, len(name))[0] for name in given] == ["common", "pair", "weak", "none", "peoples"]


def test_features_say_what_stands_beside_a_name() -> None:
    text = fold("患者王建国，男")
    place = Place.of(text, lac().read([text])[0])
    assert (2, 5) in set(candidates(place))
    found = dict(features(place, 2, 5))
    assert found["right sex"] == found["told"] == found["family common"] == 1.0
