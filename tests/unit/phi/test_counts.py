"""A long number that counts something is nobody's; the same number alone may be somebody's."""

import pytest

from medicalgpt.phi import Detector, Kind, zh_called, zh_classics, zh_names
from medicalgpt.phi.detector import _rules


def masked(text: str) -> list[str]:
    return [text[span.start : span.end] for span in Detector(("en",)).find([text])[0] if span.kind is Kind.OTHER_ID]


@pytest.mark.parametrize(
    "text",
    [
        "The viral load was 1500000 copies/mL in March.",
        "He has 2500000 platelets in the bag.",
        "Penicillin G 24000000 units a day was given.",
        "About 10000000 people live with it.",
        "The program cost $1250000 in all.",
        "Culture grew 1000000  CFU of E. coli.",
    ],
)
def test_a_count_is_left(text: str) -> None:
    assert masked(text) == []


@pytest.mark.parametrize("text", ["Please look at 15004021 again.", "15004021 unitless", "See 2500813 and call me."])
def test_a_number_alone_is_not(text: str) -> None:
    assert len(masked(text)) == 1


def test_rules_of_chinese_names_have_names_of_their_own() -> None:
    """By these names they are taken back in a text of the classics."""
    beside = (*zh_names.RULES, *zh_called.RULES)
    own = {rule.name for rule in beside if rule.confidence < zh_classics.LABELED}
    assert len(own) > 1
    languages, detectors = ("zh", "en"), ("patterns", "names")
    others = [rule for rules in _rules(languages, detectors) for rule in rules if rule not in beside]
    assert len(others) > 60
    assert own.isdisjoint(rule.name for rule in others)
