"""Which language a process speaks: what was asked for, else the environment, else English."""

import io
import sys
from collections.abc import Iterator

import pytest

from medicalgpt.errors import ConfigError
from medicalgpt.language import choice, choose, chosen

VARIABLES = ("MEDICALGPT_LANG", "LC_ALL", "LC_MESSAGES", "LANG")


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    yield
    choose(None)


def test_nothing_said_is_english() -> None:
    assert chosen() == "en"


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("zh_CN.UTF-8", "zh-CN"),
        ("zh_SG", "zh-CN"),
        ("zh", "zh-CN"),
        ("zh-Hans-HK", "zh-CN"),
        ("zh_TW.UTF-8", "zh-TW"),
        ("zh_HK.UTF-8@stroke", "zh-TW"),
        ("zh-Hant", "zh-TW"),
        ("en_US.UTF-8", "en"),
        ("C.UTF-8", None),
        ("zhx_CN", None),
        ("", None),
    ],
)
def test_locales_have_their_language(name: str, language: str | None) -> None:
    assert choice.of_locale(name) == language


def test_ours_comes_before_the_system_and_lc_all_before_lang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_TW.UTF-8")
    assert chosen() == "zh-TW"
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert chosen() == "zh-CN"
    monkeypatch.setenv("MEDICALGPT_LANG", "en")
    assert chosen() == "en"
    choose("zh-TW")
    assert chosen() == "zh-TW"


def test_a_locale_of_another_language_is_english_and_a_wrong_wish_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    assert chosen() == "en"
    with pytest.raises(ConfigError, match=r"--lang is 'de'; allowed: en, zh-TW, zh-CN"):
        choose("de")
    monkeypatch.setenv("MEDICALGPT_LANG", "klingon" * 100)
    with pytest.raises(ConfigError, match="MEDICALGPT_LANG is 'klingonklingonklingo…'"):
        choose(None)  # as the command line does
    assert chosen() == "en"  # a report of a notebook does not fail for it
    monkeypatch.delenv("MEDICALGPT_LANG")


def test_a_terminal_that_cannot_write_it_is_spared_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.ISO-8859-1")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
    assert chosen() == "en"
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="gbk"))
    assert chosen() == "zh-CN"
