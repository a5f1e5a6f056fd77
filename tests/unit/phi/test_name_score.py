"""Names by their score: each kind that earlier versions missed or took for a name, on sentences of our own."""

import pytest
from tests.found import names

from medicalgpt.phi import Detector
from medicalgpt.phi.fold import fold
from medicalgpt.phi.lac import lac
from medicalgpt.phi.name_blanks import closed
from medicalgpt.phi.name_features import between, family, left, right
from medicalgpt.phi.name_places import Place, candidates

DETECTOR = Detector()


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
    "values of keys": ("owner=卢常乐;ward=3;mobile=13812345678;nurse=戚可人", ["卢常乐", "戚可人"]),
    "before a number": ("祁进取 13812345678 已到，闵自在 010-62345678 未到", ["祁进取", "闵自在"]),
    "behind a count": ("今日手术：第1台路朝阳胆囊切除，第2台尹知秋改期，联系13812345678。", ["路朝阳", "尹知秋"]),
    "speakers": ("褚天佑：夜里又咳了。\n孟德全：先拍个片。\n电话13812345678", ["褚天佑", "孟德全"]),
    "a text without digits, in short sentences": ("分诊：覃永久，腹痛待查，由徐晚晴搀扶。", ["覃永久", "徐晚晴"]),
    "a given name that is a word": ("身份证110105194912310021，姓名段会，由郝平安陪同。", ["段会", "郝平安"]),
    "in a table": ("序号 姓名 电话\n1 樊小满 13812345678\n2 邢如初 13912345678", ["樊小满", "邢如初"]),
    "of peoples, with a dot": ("家属帕孜来提·买买提签字，电话13812345678。", ["帕孜来提·买买提"]),
    "familiar": ("同事小王身体一直很好。", ["小王"]),
}


@pytest.mark.parametrize("kind", FOUND)
def test_kinds_of_names_are_found(kind: str) -> None:
    text, wanted = FOUND[kind]
    assert set(wanted) <= set(names(DETECTOR, text))


@pytest.mark.parametrize(
    "text",
    [
        "我是大三阳患者，舒张压偏高。",
        "某市某医师擅自离岗。",
        "晚上吃猪蹄子，喝水，没有发烧。",
        "对于医师的注册，由其所在医院申请。",
        "补阳益阴，温振心阳，豁痰活血。",
        "葛洪云：青蒿一握，以水二升渍。",
        "于1 周前受凉，3 年前曾行手术，患者高血压多年。",
        "木克土，水克木，金生水。",
        "肝小叶，骨小梁，肩周疼痛，黄子叶。",
        "他很紧张老师说没事，主张医生开药，行李放下。",
        "小叶增生，小管扩张，老年女性，小汤勺。",
        "Thomas征阳性，McMurray试验阴性，Perthes病。",
    ],
)
def test_what_is_no_name_stays(text: str) -> None:
    assert names(DETECTOR, text) == []


def test_blanks_are_closed_inside_runs_of_single_characters_only() -> None:
    (one,) = closed(["李明来诊。王 建 国 来诊。"])
    assert (one.index, one.text) == (0, "王建国来诊")
    assert one.opened(0, 3) == (5, 10)
    assert one.opened(2, 4) == (9, 12)
    assert one.opened(3, 5) is None  # no blank between 来 and 诊


def test_more_is_possible_near_what_is_certain() -> None:
    text = fold("到者户会，无异议。" + "一般情况可。" * 30)
    place = Place.of(text, lac().read([text])[0])
    assert (2, 4) in set(candidates(place, [(0, 1)]))
    far = set(candidates(place, [(len(text) - 1, len(text))]))
    assert {c for c in far if c[0] < 10} == {c for c in candidates(place) if c[0] < 10}


def test_the_kind_of_a_surname() -> None:
    given = ["王建国", "欧阳明", "高建国", "是大勇", "哈斯巴根"]
    assert [family(name, 0, len(name))[0] for name in given] == ["common", "pair", "weak", "none", "peoples"]


def test_features_say_what_stands_beside_a_name() -> None:
    text = fold("患者王建国，男")
    place = Place.of(text, lac().read([text])[0])
    assert (2, 5) in set(candidates(place))
    before, behind = left(place, 2), right(place, 5)
    found = dict([*before.features, *behind.features, *between(place, 2, 5, before, behind)])
    assert found["right sex"] == found["told"] == found["family common"] == 1.0
