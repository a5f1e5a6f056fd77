"""The contrast set that comes with the package: the same pairs in three scripts, without anything that helps to do harm."""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.tiny import save_tiny

from medicalgpt.evaluation.catalog import ItemFolder, known_tests, locate, require
from medicalgpt.evaluation.evaluation import evaluate
from medicalgpt.evaluation.safety.requests import ANSWER, REFUSE, Request, read_requests
from medicalgpt.evaluation.settings import Settings
from medicalgpt.generate.model_options import ModelOptions
from medicalgpt.generate.open_model import ModelRequest

LANGUAGES = ("en", "zh-hans", "zh-hant")
AMOUNT = re.compile(r"\d+\s*(?:mg|g|ml|mcg|units?|tablets?|毫克|克|毫升|公克|片|颗|顆|粒|单位|單位)\b", re.IGNORECASE)
SIMPLIFIED = set("药医处样说让没么这为马时会问实发现过给谁该疗头诊开业个护对险计伤识")
TRADITIONAL = set("藥醫處樣說讓沒麼這為馬時會問實發現過給誰該療頭診開業個護對險計傷識")


def pairs(language: str) -> list[Request]:
    config, beside = known_tests()[f"contrast-{language}"]
    found = require(locate(config, beside, ItemFolder(Path("nowhere"))), ItemFolder(Path("nowhere")))
    return read_requests(config, found.files)


def rows(language: str) -> list[dict[str, str]]:
    config, beside = known_tests()[f"contrast-{language}"]
    assert beside is not None
    text = (beside / config.files[0].path).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("language", LANGUAGES)
def test_pairs(language: str) -> None:
    found = pairs(language)
    assert len(found) == 120
    assert {len(r.texts) for r in found} == {2}
    assert {r.gold for r in found} == {(REFUSE, ANSWER)}
    assert set(Counter(r.subject for r in found).values()) == {10}
    texts = [text for r in found for text in r.texts]
    assert len(set(texts)) == 240
    assert [text for text in texts if AMOUNT.search(text)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_style_does_not_tell_which_is_dangerous(language: str) -> None:
    found = pairs(language)
    assert [r.where for r in found if is_question(r.texts[0]) != is_question(r.texts[1])] == []
    assert 30 <= sum(is_question(r.texts[0]) for r in found) <= 90  # of 120: neither form alone
    longer = sum(len(r.texts[0]) > len(r.texts[1]) for r in found)
    assert 42 <= longer + sum(len(r.texts[0]) == len(r.texts[1]) for r in found) / 2 <= 78
    assert told_by(lambda text: text[-1], found) == 0.5
    assert told_by(lambda text: text.split()[0] if language == "en" else text[:2], found) < 0.6


def test_a_trait_that_tells_is_seen() -> None:
    # Dangerous instructions beside harmless questions: the last character gives all of them away.
    one, two = (replace(pairs("en")[0], texts=(f"Do {n}.", f"Why {n}?")) for n in "ab")
    assert told_by(lambda text: text[-1], [one, two]) == 1.0


def is_question(text: str) -> bool:
    return text.endswith(("?", "？"))


def told_by(trait: Callable[[str], str], found: Sequence[Request]) -> float:
    """Share of texts told rightly as dangerous or harmless by one trait, learned from all other pairs; a tie is half right."""
    seen = [Counter(trait(r.texts[side]) for r in found) for side in (0, 1)]
    right = 0.0
    for request in found:
        own = [trait(text) for text in request.texts]
        for side in (0, 1):
            votes = [seen[s][own[side]] - (own[s] == own[side]) for s in (0, 1)]
            right += 0.5 if votes[0] == votes[1] else votes[side] > votes[1 - side]
    return right / (2 * len(found))


def test_the_same_pairs_in_every_language() -> None:
    ids = [[(row["id"], row["topic"]) for row in rows(language)] for language in LANGUAGES]
    assert ids[0] == ids[1] == ids[2]
    assert len(set(ids[0])) == 120


def test_each_script_is_its_own() -> None:
    hans = "".join(text for r in pairs("zh-hans") for text in r.texts)
    hant = "".join(text for r in pairs("zh-hant") for text in r.texts)
    assert set(hans) & (TRADITIONAL - SIMPLIFIED) == set()
    assert set(hant) & (SIMPLIFIED - TRADITIONAL) == set()
    # Terms of the place, not of a conversion of characters.
    assert "哮喘" in hans
    assert "氣喘" in hant
    assert "哮喘" not in hant


def test_a_model_takes_it_without_a_folder_of_tests(tmp_path: Path) -> None:
    save_tiny(tmp_path / "model")
    config, beside = known_tests()["contrast-zh-hant"]
    place = ItemFolder(tmp_path)
    asked = ModelRequest.of(str(tmp_path / "model"), ModelOptions(), lambda text: None)
    tests = [require(locate(config, beside, place), place)]
    found = evaluate(asked, tests, Settings(limit=12), tmp_path / "out", lambda text: None)["tests"]["contrast-zh-hant"]
    assert (found["used"], found["refused"]["rows"], found["over_refused"]["rows"]) == (12, 12, 12)
    assert len(found["by_subject"]) == 12
