"""Emergency numbers: chosen by the user, never guessed from a language."""

import pytest

from medicalgpt.config import emergency
from medicalgpt.config.emergency import REGIONS, Emergency, chosen, code, find, numbers, sentence
from medicalgpt.errors import ConfigError
from medicalgpt.serve.disclaimer import disclaimer, disclaimers

LANGUAGES = ("en", "zh-TW", "zh-CN")


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(emergency.ENV, raising=False)


@pytest.mark.parametrize(
    ("region", "number"),
    [("CN", "120"), ("TW", "119"), ("HK", "999"), ("MO", "999"), ("US", "911"), ("EU", "112"), ("JP", "119")],
)
def test_numbers_of_regions(region: str, number: str) -> None:
    assert find(region).number == number
    assert find(f" {region.lower()} ") is REGIONS[region]
    assert code(find(region)) == region


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_a_choice_several_regions_are_named(language: str) -> None:
    text = disclaimer(language)  # type: ignore[arg-type]
    for number in ("120", "119", "999", "911", "112"):
        assert number in text, number
    assert numbers(language) in text  # type: ignore[arg-type]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_choice_is_the_only_number_whatever_the_language(language: str) -> None:
    text = disclaimer(language, chosen("CN"))  # type: ignore[arg-type]
    assert "120" in text
    assert not any(other in text for other in ("119", "999", "911", "112"))


def test_a_number_of_ones_own_names_no_region() -> None:
    assert chosen("144") == Emergency("144")
    assert sentence("en", chosen("144")) == "In an emergency call 144 now."
    assert code(chosen("144")) == "144"
    assert "144" in disclaimers(chosen("144"))


def test_the_environment_says_it_where_no_option_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(None) is None
    monkeypatch.setenv(emergency.ENV, "HK")
    assert chosen(None) is REGIONS["HK"]
    assert chosen("") is REGIONS["HK"]
    assert chosen("TW") is REGIONS["TW"]


@pytest.mark.parametrize("text", ["Taiwan", "1", "123456789", "11 9", "+886119", "XX", "一一九", "<b>"])
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ConfigError, match=r"allowed: CN, TW, HK, MO.*the number itself"):
        chosen(text)


def test_every_region_has_its_name_in_every_language() -> None:
    for region in REGIONS.values():
        assert set(region.names) == set(LANGUAGES)
        assert all(region.names.values())
        assert region.number.isascii()
        assert region.number.isdigit()
