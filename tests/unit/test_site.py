"""The documentation site: formulas without a script, three languages with a navigation each, tooltips in the reader's language."""

import logging
import re
import runpy
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("mkdocs")
pytest.importorskip("latex2mathml")
from mkdocs.structure.nav import Section

from medicalgpt.config.explain import explain
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.stages import STAGES

ROOT = Path(__file__).resolve().parents[2]
FORMULAS = runpy.run_path(str(ROOT / "docs/theme/formulas.py"))
REFERENCE = runpy.run_path(str(ROOT / "docs/theme/reference.py"))
LANGUAGES = runpy.run_path(str(ROOT / "docs/theme/languages.py"))
PAGES = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*.md"))]


def _formulas(text: str) -> list[str]:
    text = re.sub(r"^( *)```.*?^\1```$|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)
    return [block or line for block, line in re.findall(r"\$\$(.+?)\$\$|\$(\S[^$\n]*?)\$", text, re.DOTALL)]


def test_every_formula_of_the_pages_is_drawn_without_a_word_unknown(caplog: pytest.LogCaptureFixture) -> None:
    found = [(page, latex) for page in PAGES for latex in _formulas((ROOT / page).read_text(encoding="utf-8"))]
    assert len(found) > 100
    for page, latex in found:
        assert FORMULAS["drawn"](latex, True, page).count("<math ") == 1
    assert caplog.messages == []


def test_a_formula_in_a_line_and_one_of_its_own() -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_uri="docs/x.md"))
    html = r'<p>a <span class="arithmatex">\(x &lt; y\)</span></p><div class="arithmatex">\[\frac{1}{2}\]</div><code>$x$</code>'
    made = FORMULAS["on_page_content"](html, page, None, None)
    assert re.search(r'<p>a <math [^>]*display="inline".*<mo>&#x0003C;</mo>.*</math></p>', made)
    assert re.search(r'<div class="formula"><math [^>]*display="block".*<mfrac>', made)
    assert made.endswith("<code>$x$</code>")


def test_a_command_that_nobody_knows_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        FORMULAS["drawn"](r"\nosuchcommand x", False, "docs/x.md")
    assert [record.getMessage() for record in caplog.records] == [r"docs/x.md: no MathML for \nosuchcommand"]


@pytest.mark.parametrize(
    ("path", "language", "twin"),
    [
        ("README.md", "zh-CN", "README.zh-CN.md"),
        ("README.zh-TW.md", "en", "README.md"),
        ("README.zh-TW.md", "zh-CN", "README.zh-CN.md"),
        ("docs/data.md", "zh-TW", "docs/zh-TW/data.md"),
        ("docs/zh-CN/objectives/dpo.md", "en", "docs/objectives/dpo.md"),
        ("docs/zh-CN/data.md", "zh-CN", "docs/zh-CN/data.md"),
    ],
)
def test_where_a_twin_stands(path: str, language: str, twin: str) -> None:
    assert LANGUAGES["twin_of"](path, language) == twin


def _page(path: str) -> Any:
    page = SimpleNamespace(file=SimpleNamespace(src_uri=path), url=path.replace(".md", ".html"), title=path)
    page.is_homepage, page.previous_page, page.next_page = path == "README.md", None, None
    return page


def _site() -> tuple[Any, dict[str, Any]]:
    paths = ["README.md", "docs/data.md", "docs/api.md", "README.zh-CN.md", "docs/zh-CN/data.md", "README.zh-TW.md"]
    pages = {path: _page(path) for path in paths}
    for before, after in pairwise(paths):
        pages[before].next_page, pages[after].previous_page = pages[after], pages[before]
    english = Section("Guide", [pages[path] for path in paths[:3]])
    chinese = Section("简体中文", [Section("开始", [pages["README.zh-CN.md"], pages["docs/zh-CN/data.md"]])])
    taiwan = Section("繁體中文", [Section("文件", [pages["README.zh-TW.md"]])])
    return SimpleNamespace(items=[english, chinese, taiwan], pages=list(pages.values())), pages


def test_a_page_leads_to_its_twins_or_to_the_front_page_of_a_language() -> None:
    nav, pages = _site()
    config = SimpleNamespace(extra={})
    LANGUAGES["on_page_context"]({}, pages["docs/data.md"], config, nav)
    links = {one["lang"]: one["link"] for one in config.extra["alternate"]}
    assert links == {"en": "docs/data.html", "zh-CN": "docs/zh-CN/data.html", "zh-TW": "README.zh-TW.html"}


def test_each_language_has_its_own_navigation() -> None:
    nav, pages = _site()
    config = SimpleNamespace(extra={})
    shown = LANGUAGES["on_page_context"]({}, pages["docs/zh-CN/data.md"], config, nav)["nav"]
    assert [item.title for item in shown.items] == ["开始"]
    assert shown.homepage is pages["README.zh-CN.md"]
    assert pages["docs/zh-CN/data.md"].previous_page is pages["README.zh-CN.md"]
    assert pages["docs/zh-CN/data.md"].next_page is None
    shown = LANGUAGES["on_page_context"]({}, pages["docs/api.md"], config, nav)["nav"]
    assert [item.title for item in shown.items] == ["Guide"]
    assert pages["docs/api.md"].next_page is None


def test_browsers_are_told_the_language_and_tooltips_are_in_it() -> None:
    tell, config = LANGUAGES["on_post_page"], SimpleNamespace(copyright="Apache License 2.0. Not a medical device.")
    html = '<html lang="zh" class="no-js"><a title="Dark"><i aria-label="Light"></i>Dark<b>'
    html += f"{config.copyright}</b>"
    assert tell(html, _page("docs/zh-CN/data.md"), config) == (
        '<html lang="zh-CN" class="no-js"><a title="深色"><i aria-label="浅色"></i>Dark<b>Apache License 2.0。不是医疗器械。</b>'
    )
    assert tell(html, _page("docs/data.md"), config) == html.replace('lang="zh"', 'lang="en"')


def test_the_words_that_are_turned_are_those_of_the_site() -> None:
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "name: Dark" in site
    assert "name: Light" in site
    assert "copyright: Apache License 2.0. Not a medical device." in site
    assert all(f"  - {name}:\n" in site for name in ("简体中文", "繁體中文"))


def test_the_reference_has_every_key_of_every_stage_and_says_which_have_it() -> None:
    page = REFERENCE["keys"]()
    for stage in STAGES:
        for row in explain(stage_schema(stage)):
            assert f"| `{row.key}` | " in page, row.key
    (margin,) = re.findall(r"^\| `objective.center` .*$", page, re.MULTILINE)
    assert margin.endswith("(rm) |")
    rates = re.findall(r"^\| `train.learning_rate` .*\((.+)\) \|$", page, re.MULTILINE)
    assert len(rates) > 1, "a line for each default"
    assert sorted(", ".join(rates).split(", ")) == sorted(STAGES)
    assert "| `compare.questions` | " in page
    assert "| `sources` | " in page


def test_the_reference_has_every_command_with_its_options() -> None:
    page = REFERENCE["commands"]()
    for words in ("train", "runs list", "evaluate compare", "data curate", "export gguf", "models pull"):
        assert f"## medicalgpt {words}\n" in page
    section = page.partition("## medicalgpt runs list\n")[2].partition("\n## ")[0]
    assert "| `FOLDER` | runs | " in section
    assert "| `--descending` | off | " in section
    assert "--help" not in section


def _pages(language: str) -> tuple[str, str]:
    with REFERENCE["speaking"](language):
        return REFERENCE["commands"](), REFERENCE["keys"]()


def test_no_cell_of_the_reference_is_torn() -> None:
    for page in (page for language in LANGUAGES["NAMES"] for page in _pages(language)):
        widths = {len(re.split(r"(?<!\\)\|", line)) for line in page.splitlines() if line.startswith("|")}
        assert widths <= {5, 6}


@pytest.mark.parametrize(("language", "other"), [("zh-CN", "默认值"), ("zh-TW", "預設值")])
def test_the_reference_is_whole_in_chinese(language: str, other: str) -> None:
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for name, page, english in zip(("commands", "keys"), _pages(language), _pages("en")):
        assert f"- docs/{language}/reference/{name}.md\n" in site
        assert f"- {REFERENCE['place_of'](name, 'en')}\n" in site
        rows, same = ([line for line in text.splitlines() if line.startswith("| `")] for text in (page, english))
        assert [row.split("`")[1] for row in rows] == [row.split("`")[1] for row in same]
        assert other in page
        meanings = [re.split(r"(?<!\\)\|", row)[-2] for row in rows]
        told = [text for text in meanings if re.search("[\u4e00-\u9fff]", text)]
        assert len(told) >= 0.98 * len(meanings), [text for text in meanings if text not in told]
