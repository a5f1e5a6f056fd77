"""Every rule finds what it must and leaves alone what it must."""

import pytest

from medicalgpt.config.curation import QualityConfig
from medicalgpt.curation.quality import RULES, broken
from medicalgpt.data.records import Dialogue, Document, Message, Preference, Record, Source

HERE = Source("rows.jsonl", 1)
GOOD = "多喝水，清淡饮食，注意休息；如果三天后仍然发烧，请到医院就诊。"
PLAIN = QualityConfig()


def asked(question: str, answer: str) -> Dialogue:
    return Dialogue((Message("user", question), Message("assistant", answer)), HERE)


def preferred(chosen: str, rejected: str) -> Preference:
    sides = (Message("assistant", chosen),), (Message("assistant", rejected),)
    return Preference((Message("user", "发烧怎么办？"),), *sides, HERE)


FOUND: list[tuple[str, Record, QualityConfig]] = [
    ("too short", Document("头痛", HERE), PLAIN),
    ("too long", Document("x y " * 100, HERE), QualityConfig(max_chars=100)),
    ("damaged text", Document("血压\ufffd\ufffd高，请按时吃药并且定期复查。", HERE), PLAIN),
    ("damaged text", Document("锟斤拷锟斤拷血压高，请按时吃药并且定期复查。", HERE), PLAIN),
    ("damaged text", Document("It wasnâ€™t a fever, and the patient said itâ€™s better.", HERE), PLAIN),
    ("markup", Document("<p>血压</p><br/><b>高</b>&nbsp;&nbsp;<a href='x'>看</a>", HERE), PLAIN),
    ("advert", asked("痔疮怎么治？", "这个病好治，加我微信 zhichuang88 咨询，祖传秘方。"), PLAIN),
    ("advert", asked("Back pain?", "Our belt heals it. Order now, free shipping for all readers."), PLAIN),
    ("advert", asked("痔瘡怎麼治？", "請掃碼諮詢我們的專家，掃描下方二維碼領取優惠。"), PLAIN),
    ("empty or copied answer", asked("发烧三天了怎么办才好？", "无。"), PLAIN),
    ("empty or copied answer", asked("What helps against a cough?", "N/A"), PLAIN),
    ("empty or copied answer", asked("无", "请您说明哪里不舒服，有多久了，吃过什么药。"), PLAIN),
    ("empty or copied answer", asked("发烧三天了怎么办才好？", "发烧三天了怎么办才好"), PLAIN),
    ("short answer", asked("Is ibuprofen safe for me?", "y."), QualityConfig(min_answer=3, empty_answers="keep")),
    ("repeated lines", Document("按时吃药并复查\n" * 6 + "多喝水", HERE), PLAIN),
    ("repeated n-grams", Document("看医生看医生" * 20, HERE), PLAIN),
    ("symbols", Document("血压 ★★★★★★★★★★ ======== 高", HERE), PLAIN),
    (
        "other language",
        Document("Обратитесь к врачу, если температура держится.", HERE),
        QualityConfig(languages=["zh"]),
    ),
    ("other language", Document("See a doctor when it lasts.", HERE), QualityConfig(languages=["zh"])),
    ("cut off", asked("发烧怎么办？", "建议多喝水，清淡饮食，注意休息，"), QualityConfig(cut_off="drop")),
    ("cut off", Document("Drink enough water and sleep well because", HERE), QualityConfig(cut_off="drop")),
    ("chosen and rejected the same", preferred("多喝水，休息。", "多 喝水, 休息"), PLAIN),
]
LEFT_ALONE: list[tuple[Record, QualityConfig]] = [
    (asked("发烧怎么办？", GOOD), QualityConfig(languages=["zh"], cut_off="drop")),
    (asked("What helps?", "Rest, water, and a doctor if it lasts three days."), QualityConfig(languages=["en"])),
    (Document("血小板 < 100 × 10⁹/L，白细胞 > 12，血压 140/90 mmHg，建议复查。", HERE), PLAIN),
    (asked("微信上说的偏方可信吗？", "不可信。请到正规医院就诊，不要相信广告。"), PLAIN),
    (asked("Can I order my tablets online?", "Yes, from a pharmacy with a license; ask your doctor first."), PLAIN),
    (asked("有没有发烧？", "没有发烧，但是头痛三天了。"), PLAIN),
    (preferred("多喝水，休息。", "不用管它。"), PLAIN),
    (Document("阿司匹林 aspirin 100 mg 每日一次", HERE), QualityConfig(languages=["zh", "en"])),
]


@pytest.mark.parametrize(("rule", "record", "config"), FOUND)
def test_a_broken_rule_is_named(rule: str, record: Record, config: QualityConfig) -> None:
    assert broken(record, config) == rule


@pytest.mark.parametrize(("record", "config"), LEFT_ALONE)
def test_good_rows_pass(record: Record, config: QualityConfig) -> None:
    assert broken(record, config) is None


def test_every_rule_is_tested_here() -> None:
    assert {rule for rule, _, _ in FOUND} == {name for name, _ in RULES}


def test_every_rule_can_be_turned_off() -> None:
    off = QualityConfig(
        min_chars=0, min_answer=0, repeated_lines=1, repeated_ngrams=1, symbol_share=1, damaged_share=1, markup_share=1,
        adverts="keep", empty_answers="keep",
    )  # fmt: skip
    never_off = {"chosen and rejected the same"}
    asked_for = {
        "too long",
        "other language",
        "cut off",
        "short answer",
    }  # off unless a setting of the row asks for them
    for rule, record, _ in FOUND:
        if rule not in never_off | asked_for:
            assert broken(record, off) is None, rule


def test_a_long_row_takes_no_long_time() -> None:
    hostile = "<a " + "x=" * 50_000 + "加" * 100_000
    assert broken(Document(hostile, HERE), QualityConfig(repeated_ngrams=1, symbol_share=1)) in (None, "markup")
