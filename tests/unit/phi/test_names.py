"""Names by the words beside them, by lists and by the network; what is never one."""

import pytest
from tests.found import names

from medicalgpt.phi import Detector, Kind
from medicalgpt.phi.lists import words

DETECTOR = Detector()


CHINESE = [
    ("姓名：王建国 性别：男", ["王建国"]),
    ("姓名：亓官若，女，31岁", ["亓官若"]),  # a surname of no list, after a label
    ("姓  名：王 建 国", ["王 建 国"]),
    ("患者李秀英，女，56岁，因头晕入院。", ["李秀英"]),
    ("张伟医生建议手术，刘主任同意。", ["张伟", "刘"]),
    ("主治医师：欧阳明", ["欧阳明"]),
    ("随访时由其女儿陈丽娟接听。", ["陈丽娟"]),
    ("病人林志明，由黃俊傑醫師診治。", ["林志明", "黃俊傑"]),
    ("我叫赵德福，今年68岁了，胃一直不好。", ["赵德福"]),
    ("联系人：阿卜杜拉·买买提", ["阿卜杜拉·买买提"]),
    ("昨天周晓燕来复诊，说好多了。", ["周晓燕"]),
    ("3床付国强、5床闫秀芝明日出院。", ["付国强", "闫秀芝"]),
    ("患者荀慧生家属来院，由鲜于枢医生接待。", ["荀慧生", "鲜于枢"]),
    ("患者白薇，女，30岁，既往体健。", ["白薇"]),  # an herb, and here a patient
]


@pytest.mark.parametrize(("text", "wanted"), CHINESE, ids=[t[:8] for t, _ in CHINESE])
def test_chinese_names_are_found(text: str, wanted: list[str]) -> None:
    assert names(DETECTOR, text) == wanted


ENGLISH = [
    ("Dr. Smith saw her today.", ["Smith"]),
    ("Dr. Parkinson saw her today.", ["Parkinson"]),  # a title outweighs the list of eponyms
    ("Patient: Johnson, Mary A", ["Johnson, Mary A"]),
    ("a 54-year-old female, Anna S., with MS", ["Anna S."]),
    ("pt John D. has CHF", ["John D."]),
    ("Name: Siiri Mäkinen, DOB 1/2/1980", ["Siiri Mäkinen"]),
    ("Treated Mr. van der Berg yesterday", ["van der Berg"]),
    ("similar to Robert O'Connor's case", ["Robert O'Connor"]),
    ("seen by J. R. Hathaway", ["J. R. Hathaway"]),
    ("pt john smith 45yo w/ htn", ["john smith"]),
]


@pytest.mark.parametrize(("text", "wanted"), ENGLISH, ids=[t[:12] for t, _ in ENGLISH])
def test_english_names_are_found(text: str, wanted: list[str]) -> None:
    found = " ".join(names(DETECTOR, text))
    assert all(part in found for name in wanted for part in name.split())


NEVER = [
    *[
        "既往有帕金森病史，按张仲景桂枝汤加减。",
        "李时珍《本草纲目》与孙思邈《千金方》",
        "口服卡马西平与文拉法辛",
        "高血压、黄疸、白带异常",
    ],
    *[
        "祝患者早日康复，谢谢医生。",
        "黄芪、当归、何首乌各10g",
        "患者于昨日起发热，常感乏力",
        "霍奇金淋巴瘤与克罗恩病",
        "马上去医院，全科医生会帮您",
    ],
    *[
        "唇周青紫，脐周压痛，瓣叶增厚，病程长，瞳孔散大",
        "利福平\n普罗帕酮\n多潘立酮\n桑菊饮\n沙苑子",
        "牵张反射与血管紧张素、窦房结节律",
        "衣原体、支原体与克雷伯杆菌",
        "胸8第五肋间，律齐，微生物污染",
    ],
    *[
        "Parkinson's disease and Crohn's disease",
        "Foley catheter, Babinski sign, Apgar score",
        "a Wells score of 3 and Graves disease",
    ],
    *[
        "Jardiance, Yasmin and St. John's wort",
        "Cushing's syndrome after Addison's disease",
        "Hodgkin lymphoma, Stage II; Vitamin B.",
    ],
    *["Bell's palsy, Alexander disease and Wilson disease", "Which Framingham risk score? May I use Mark IV?"],
]


@pytest.mark.parametrize("text", NEVER)
def test_medical_words_are_no_names(text: str) -> None:
    assert names(DETECTOR, text) == []


@pytest.mark.parametrize("name", ["eponyms", "ancient_authors", "drugs", "genes", "medicines"])
def test_no_entry_of_a_kept_list_is_masked_where_medicine_speaks_of_it(name: str) -> None:
    texts = []
    for entry in words(f"keep/{name}"):
        frame = "History of {} was noted in the chart." if entry.isascii() else "资料中提到{}，供参考。"
        texts.append(frame.format(entry))
    touched = [
        (texts[i], s.source)
        for i, spans in enumerate(DETECTOR.find(texts))
        for s in spans
        if s.kind in (Kind.NAME, Kind.ADDRESS, Kind.ORGANIZATION, Kind.OTHER_ID, Kind.RECORD)
    ]
    assert touched == []


def test_every_hotline_of_the_list_stays() -> None:
    texts = [f"请拨打{number}咨询" for number in words("keep/hotlines")] + [
        f"Call {number} now." for number in words("keep/hotlines")
    ]
    assert [text for text, spans in zip(texts, DETECTOR.find(texts), strict=True) if spans] == []
