"""Three languages on one site: each page has its own navigation, leads to its twins, and speaks its language in every tooltip.

A page in docs/zh-CN or docs/zh-TW, or README.zh-CN.md, is the twin of the English page of the same name.
"""

import re
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.nav import Navigation, Section
from mkdocs.structure.pages import Page

NAMES = {"en": "English", "zh-CN": "简体中文", "zh-TW": "繁體中文"}
# What the theme has in one language for a whole site.
WORDS = {
    "zh-CN": {"Dark": "深色", "Light": "浅色", "Permanent link": "本节链接"},
    "zh-TW": {"Dark": "深色", "Light": "淺色", "Permanent link": "本節連結"},
}
COPYRIGHT = {"zh-CN": "Apache License 2.0。不是医疗器械。", "zh-TW": "Apache License 2.0。不是醫療器材。"}


def language_of(path: str) -> str:
    """Language of a page by its path in the repository."""
    return next((name for name in WORDS if name in path), "en")


def twin_of(path: str, language: str) -> str:
    """Where a page stands in another language, if it does."""
    english = re.sub(r"(?<=docs/)zh-(CN|TW)/|\.zh-(CN|TW)(?=\.md$)", "", path)
    if language == "en":
        return english
    return f"README.{language}.md" if english == "README.md" else english.replace("docs/", f"docs/{language}/", 1)


def on_page_context(context: dict[str, Any], page: Page, config: MkDocsConfig, nav: Navigation) -> dict[str, Any]:
    """Gives the page the switch to its twins, or to the front page of a language that lacks it, and its own navigation."""
    urls = {other.file.src_uri: other.url for other in nav.pages}
    path = page.file.src_uri
    config.extra["alternate"] = [
        {
            "name": name,
            "lang": code,
            "link": urls.get(twin_of(path, code)) or urls[twin_of("README.md", code)] or "index.html",
        }
        for code, name in NAMES.items()
    ]
    context["nav"] = _nav_of(nav, language_of(path))
    for side in ("previous_page", "next_page"):
        beside = getattr(page, side)
        if beside and language_of(beside.file.src_uri) != language_of(path):
            setattr(page, side, None)
    return context


def _nav_of(nav: Navigation, language: str) -> Navigation:
    """The sections of one language; those of a translation stand together below its name."""
    items = [
        item for item in nav.items if (isinstance(item, Section) and item.title in NAMES.values()) == (language != "en")
    ]
    if language != "en":
        (section,) = (item for item in items if item.title == NAMES[language])
        items = section.children
    found = Navigation(items, nav.pages)
    front = twin_of("README.md", language)
    found.homepage = next(page for page in nav.pages if page.file.src_uri == front)
    return found


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Tells browsers the language (it decides how Chinese characters look and are read out) and turns what the theme left English."""
    language = language_of(page.file.src_uri)
    output = re.sub(r'<html lang="[^"]*"', f'<html lang="{language}"', output, count=1)
    for english, word in WORDS.get(language, {}).items():
        output = output.replace(f'title="{english}"', f'title="{word}"').replace(
            f'aria-label="{english}"', f'aria-label="{word}"'
        )
    return output.replace(config.copyright or "\0", COPYRIGHT[language]) if language in COPYRIGHT else output
