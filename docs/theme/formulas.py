"""Formulas become MathML while the site is built: browsers draw it by themselves, with no script, no font and no other host."""

import html as entities
import logging
import re

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

# What pymdownx.arithmatex makes of $ … $ and $$ … $$.
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
_log = logging.getLogger("mkdocs.hooks.formulas")


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Draws all formulas of a page."""
    return _FORMULA.sub(lambda found: drawn(found[2], found[1] == "div", page.file.src_uri), html)


def drawn(latex: str, block: bool, where: str) -> str:
    """MathML of a formula. A command that the converter does not know is a warning, which ends a strict build."""
    # The converter's \bigl is as tall as the row it stands in, its \left as tall as what is between.
    text = re.sub(r"\\[bB]igg?l(?![a-zA-Z])", r"\\left", entities.unescape(latex).strip())
    text = re.sub(r"\\[bB]igg?r(?![a-zA-Z])", r"\\right", text)
    made = convert(text, display="block" if block else "inline")
    if unknown := re.findall(r"\\[a-zA-Z]+", made):
        _log.warning("%s: no MathML for %s", where, ", ".join(unknown))
    return f'<div class="formula">{made}</div>' if block else made
