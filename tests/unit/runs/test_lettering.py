"""Words of figures are in the reader's language where they can be drawn, else in English; nothing is drawn as a box."""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text
from tests.unit.cli.test_languages import CHINESE
from tests.unit.runs.test_run_figures import language_run, preference_run

from medicalgpt.browse import curves
from medicalgpt.language import Language, catalogue, choose, translated
from medicalgpt.runs import MetricsLog, figures, lettering, metrics
from medicalgpt.runs.lettering import can_draw, lettered


def a_font(path: Path, family: str, characters: str) -> Path:
    """A font in which every character is one square."""
    pen = TTGlyphPen(None)
    for move, point in (("moveTo", (50, 0)), ("lineTo", (50, 800)), ("lineTo", (850, 800)), ("lineTo", (850, 0))):
        getattr(pen, move)(point)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap({ord(char): "square" for char in characters})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "square": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "square": (1000, 50)})
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


@pytest.fixture
def fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[font_manager.FontManager]:
    """A machine with matplotlib's own fonts and no other."""
    own = font_manager.fontManager
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    monkeypatch.setattr(own, "ttflist", [font for font in own.ttflist if "matplotlib" in font.fname])
    forget()
    yield own
    choose(None)
    forget()


def forget() -> None:
    for cached in (lettering._chinese, lettering._glyphs, font_manager.FontManager._findfont_cached):
        cached.cache_clear()  # type: ignore[attr-defined]  # of matplotlib's stubs


def every_character() -> str:
    """Of both catalogues."""
    texts = (catalogue.catalogue(language) for language in ("zh-CN", "zh-TW"))
    return "".join(
        {char for one in texts for told in one._exact.values() for char in told} | set("（）：，线點点糖尿病")
    )


def written(figure: Figure) -> list[str]:
    return [text for one in figure.findobj(Text) if isinstance(one, Text) and (text := one.get_text())]


def drawn(tmp_path: Path) -> list[Figure]:
    """Every figure of a run, and the one of compared runs."""
    answers = MetricsLog(tmp_path / "a.jsonl")
    for step in (1, 2):
        answers.append(step, {f"train/{key}": 0.5 for key in ("score", "kl", "entropy", "stop_rate")})
    logs = [metrics.read(path) for path in (language_run(tmp_path / "l.jsonl"), preference_run(tmp_path / "p.jsonl"))]
    logs.append(metrics.read(tmp_path / "a.jsonl"))
    return [figure for log in logs for _, chart in figures._CHARTS if (figure := chart(log)) is not None]


@pytest.mark.parametrize("language", ["zh-CN", "zh-TW"])
def test_every_label_is_chinese_where_a_font_has_its_characters(
    language: Language, fonts: font_manager.FontManager, tmp_path: Path
) -> None:
    fonts.addfont(a_font(tmp_path / "han.ttf", "Noto Sans CJK TC", every_character()))
    choose(language)
    with lettering.lettering(), warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of each glyph that it lacks
        found = drawn(tmp_path)
        assert len(found) == 5
        for figure in found:
            figure.savefig(tmp_path / "picture.png")
            words = [
                text
                for text in written(figure)
                if not text.startswith("$") and re.search("[A-Za-z]|[^\x00-\x7f]{2}", text)
            ]
            assert len(words) >= 3
            assert [text for text in words if not CHINESE.search(text)] == []
    for key, title in curves._CHARTS.items():
        for way in (" (lines: training)", " (lines: training, points: held out)"):
            assert "（线：训练" in translated(title + way, words=True).replace("線：訓練", "线：训练"), key


def test_labels_are_english_where_no_font_has_their_characters(fonts: font_manager.FontManager, tmp_path: Path) -> None:
    choose("zh-CN")
    assert lettered("Loss") == "Loss"
    with lettering.lettering(), warnings.catch_warnings():
        warnings.simplefilter("error")
        for figure in drawn(tmp_path):
            figure.savefig(tmp_path / "picture.png")
            assert not any(CHINESE.search(text) for text in written(figure))


def test_a_font_that_lacks_one_character_writes_the_others(fonts: font_manager.FontManager, tmp_path: Path) -> None:
    fonts.addfont(a_font(tmp_path / "han.ttf", "SimHei", "损失步"))
    choose("zh-CN")
    assert (lettered("Loss"), lettered("step"), lettered("Entropy")) == ("损失", "步", "Entropy")


def test_english_pictures_are_the_same_with_and_without_a_chinese_font(
    fonts: font_manager.FontManager, tmp_path: Path
) -> None:
    choose("en")
    source = language_run(tmp_path / "m.jsonl")
    first = [path.read_bytes() for path in figures.draw(source, tmp_path / "a")]
    fonts.addfont(a_font(tmp_path / "han.ttf", "SimHei", every_character()))
    forget()
    assert [path.read_bytes() for path in figures.draw(source, tmp_path / "b")] == first


def test_runs_whose_names_cannot_be_drawn_are_numbered(fonts: font_manager.FontManager, tmp_path: Path) -> None:
    choose("en")
    names = ["$a", "糖尿病"]
    assert curves._legend(names)[1] == [r"\$a", "run 2"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert curves.curves_png(names, {"train/loss": ([(1, 2.0)], [(1, 3.0)])}) is not None
    fonts.addfont(a_font(tmp_path / "han.ttf", "SimHei", every_character()))
    forget()
    assert curves._legend(names)[1] == [r"\$a", "糖尿病"]
    assert can_draw("糖尿病 β 1")


def test_a_font_that_is_newer_than_the_list_of_matplotlib_is_found(
    fonts: font_manager.FontManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = a_font(tmp_path / "han.ttf", "SimHei", every_character()), tmp_path / "bad.ttf"
    bad.write_bytes(b"no font")
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(bad), str(good)])
    choose("zh-CN")
    assert lettered("Loss") == "损失"


def test_a_damaged_font_is_none(fonts: font_manager.FontManager, tmp_path: Path) -> None:
    fonts.addfont(path := a_font(tmp_path / "han.ttf", "SimHei", every_character()))
    path.write_bytes(b"no font")
    font_manager._get_font.cache_clear()
    choose("zh-CN")
    assert lettered("Loss") == "Loss"
