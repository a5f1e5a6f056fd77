"""What is left out would have found nothing: conditions are necessary ones, and parts of long texts are searched as the whole is."""

import re
import sys
import time
from itertools import chain
from pathlib import Path
from random import Random

import pytest
from tests.matching import CHARACTERS, matching

from medicalgpt.phi import Detector, parse_tree, reach
from medicalgpt.phi.fold import fold
from medicalgpt.phi.grams import plain
from medicalgpt.phi.necessary import clauses
from medicalgpt.phi.prefilter import PART, Prefilter
from medicalgpt.phi.rules import Rule

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "benchmarks"))
import phi_notes

ALL = 10**12
SHIPPED = Detector(detectors=("patterns", "names"))
NEAR = SHIPPED._near._prefilter
assert NEAR is not None
GROUPS = SHIPPED._prefilter._all
RULES = [
    pytest.param(rule, number > 0, id=f"{number}-{rule.kind}-{rule.name}-{at}".replace(" ", "_"))
    for number, group in enumerate(GROUPS)
    for at, rule in enumerate(group)
] + [
    pytest.param(rule, False, id=f"near-{rule.kind}-{rule.name}-{at}".replace(" ", "_"))
    for at, rule in enumerate(NEAR._all[0])
]


def detector(after: int) -> Detector:
    """One that works its conditions out after so many characters."""
    made = Detector(detectors=("patterns", "names"))
    made._prefilter = Prefilter(*made._prefilter._all, after=after)
    made._near._prefilter = Prefilter(*NEAR._all, after=after)
    return made


def only(rule: Rule, marked: bool) -> Prefilter:
    """A prefilter of one rule; `marked`: one for text in which ideographs are marks."""
    return Prefilter([], [rule], after=0) if marked else Prefilter([rule], after=0)


# -- conditions --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("rule", "marked"), RULES)
def test_every_text_in_which_a_shipped_expression_matches_fulfills_its_condition(rule: Rule, marked: bool) -> None:
    prefilter, rng = only(rule, marked), Random(rule.name)
    texts = list(matching(rule.regex, rng, 40))
    assert len(texts) > 2  # else nothing was shown
    assert all(any(prefilter.worth(text)) for text in texts)


@pytest.mark.parametrize(("rule", "marked"), RULES)
def test_parts_of_a_long_text_hold_the_matches_of_the_whole(rule: Rule, marked: bool) -> None:
    prefilter, rng = only(rule, marked), Random(rule.name)
    drawn = list(matching(rule.regex, rng, 12))
    for _ in range(3):
        pieces = [
            piece
            for text in rng.choices(drawn, k=4)
            for piece in ("".join(rng.choices(CHARACTERS, k=3)) + "的" * rng.randint(0, 2 * PART), text)
        ]
        text = "".join(pieces)
        found = [list(rule.find(text, parts)) for group in prefilter.worth(text) for rule, parts in group]
        assert list(chain(*found)) == list(rule.find(text))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("ab|cd", [{"AB", "CD"}]),
        ("医生|护士", [{"医生", "护士"}]),
        ("[医护][生士]", [{"医生", "医士", "护生", "护士"}]),
        (r"姓名.{0,9}王", [{"姓名"}, {"王"}]),
        (r"姓名[^\d]王", [{"姓名"}, {"王"}]),
        (r"(?<=电)话", [{"电话"}]),
        (r"电(?=话)", [{"电话"}]),
        (r"电(?!话)", [{"电"}]),
        (r"(?:电话)?王", [{"电话", "王"}]),
        (r"(?:电话)*王+", [{"王"}]),
        (r"\d{11}", [{"00000000"}]),
        (r"\d{3}\w{1,3}三", [{"三"}, {"000"}]),
        (r"(王)小\1", [{"王小"}]),
        (r"(王)?(?(1)三|四)", []),
        (r"(?i:ſt|K)", [{"ST", "K"}]),
        (r".{5}", []),
        ("", []),
    ],
)
def test_a_condition_is_what_an_expression_says(pattern: str, expected: list[set[str]]) -> None:
    assert [set(clause) for clause in clauses(re.compile(pattern))] == expected


def test_no_gram_holds_the_mark_that_stands_for_ideographs() -> None:
    assert [set(clause) for clause in clauses(re.compile("[、x]a|cd"), "、")] == [{"A", "CD"}]


def test_characters_that_match_one_another_without_case_are_one() -> None:
    cased = "".join(char for char in map(chr, range(0x1E944)) if char.lower() != char or char.upper() != char)
    by = {}
    for char in cased:
        by.setdefault(plain(char), []).append(char)
    assert len(by) > 1000
    for char in cased:
        others = cased.translate({ord(same): None for same in by[plain(char)]})
        assert not re.compile(re.escape(char), re.IGNORECASE).search(others), char


def test_a_digit_or_blank_of_any_script_is_one() -> None:
    text = "".join(map(chr, range(sys.maxunicode + 1)))
    assert set(plain("".join(re.findall(r"\d", text)))) == {"0"}
    assert set(plain("".join(re.findall(r"\s", text)))) == {" "}


def test_without_a_parse_tree_every_rule_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse_tree, "import_module", lambda name: object())
    expression = re.compile("nobody asked for this before")
    assert clauses(expression) == ()
    assert reach.reach(expression).ahead == reach.FAR


@pytest.mark.parametrize(
    ("pattern", "ahead", "behind"),
    [
        ("abc", 3, 0),
        (r"a{2,5}(?=b{3})", 8, 0),
        (r"(?<=ab)c(?!d{4})", 5, 2),
        (r"a$", 3, 1),
        (r"(ab|c)\1", 4, 0),
        (r"a+", reach.FAR, 0),
    ],
)
def test_how_far_an_expression_looks(pattern: str, ahead: int, behind: int) -> None:
    found = reach.reach(re.compile(pattern))
    assert (min(found.ahead, reach.FAR), found.behind) == (ahead, behind)


# -- finds -------------------------------------------------------------------------------------------------------------
def test_finds_are_the_same_with_and_without() -> None:
    portions = (phi_notes.VALUES, phi_notes.FORMS, phi_notes.EIGHTH)
    rng, texts = Random(5), []
    for number, portion in enumerate(portions):
        made = phi_notes.notes(phi_notes.all_templates(portion), ["患者昨日复诊，CT未见异常。"], 150, number, portion)
        texts += [fold(note.text) for note in made]
    texts += ["\n".join(rng.sample(texts, 12)) for _ in range(20)]
    all_tried, few_tried = detector(ALL), detector(0)
    found = [all_tried.by_rules(text) for text in texts]
    assert sum(map(len, found)) > 2000
    assert [few_tried.by_rules(text) for text in texts] == found


def test_few_rules_are_tried_in_ordinary_text() -> None:
    tried = detector(0)._prefilter
    text = "今天气温明显下降，大家都觉得有些冷，于是早早回到屋里喝茶看书。"
    assert sum(map(len, tried.worth(text))) < 20 < 200 < sum(map(len, GROUPS))
    long = tried.worth(text * 100 + "电话13812345678")
    parts = [where for group in long for rule, where in group if rule.name == "mobile"]
    assert parts
    assert all(where and where[0][0] > len(text) * 80 for where in parts)


def test_every_rule_is_tried_until_some_text_was_read() -> None:
    prefilter = Prefilter(*GROUPS, after=10)
    assert [sum(map(len, prefilter.worth("一二三四五六"))) for _ in range(3)][1:] != [0, 0]
    assert sum(map(len, Prefilter(*GROUPS, after=10).worth("一"))) == sum(map(len, GROUPS))
    assert sum(map(len, prefilter.worth("一"))) < 20


@pytest.mark.parametrize("part", ["0", "医院电话姓名", "1 ", "王", "-0", "患者王建国男"])
def test_time_grows_with_the_text_and_not_with_its_square(part: str) -> None:
    prefilter = detector(0)._prefilter

    def seconds(size: int) -> float:
        text = (part * size)[:size]
        began = time.process_time()
        prefilter.worth(text)
        return time.process_time() - began

    seconds(200)
    small, large = min(seconds(4000) for _ in range(3)), seconds(32_000)
    assert large < 16 * small + 0.1, (small, large)
