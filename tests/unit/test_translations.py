"""Pages in 简体 and 繁體 stay in step with the English ones: headings, code, tables, keys, links, and one script each."""

import posixpath
import re
import unicodedata
from functools import cache
from itertools import chain
from pathlib import Path

import pytest
from opencc import OpenCC

ROOT = Path(__file__).resolve().parents[2]
# Their twin lacks the hospital's example in the reader's language, or gives it in place of the English: tests/unit/test_readme.py.
OWN_EXAMPLES = {"docs/zh-TW/evaluation.md"}
NO_TWIN = {"docs/zh-CN/glossary.md"}
MORE_BLOCKS = {"README.zh-CN.md": 3}  # mirrors of the mainland
LANGUAGES = {"zh-CN": "README.zh-CN.md", "zh-TW": "README.zh-TW.md"}
# What a page in one script may quote of the other.
QUOTED = {"zh-CN": ("繁體中文", "繁體"), "zh-TW": ("简体中文", "简体", "储物柜QKTD的开柜码是482。")}
# Ordinary in 繁體 too, though they are also what 简体 writes for another character; and the name of a maker (昇腾).
BOTH = {"zh-CN": "昇", "zh-TW": "了占台布祕只里周回"}
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def _read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def _pairs() -> list[tuple[str, str]]:
    """(translation, English page), both relative to the root."""
    found = [(page, "README.md") for page in LANGUAGES.values()]
    for language in LANGUAGES:
        for path in sorted((ROOT / "docs" / language).rglob("*.md")):
            page = path.relative_to(ROOT).as_posix()
            if page not in NO_TWIN:
                found.append((page, page.replace(f"/{language}/", "/", 1)))
    return found


PAIRS = _pairs()
ALL = sorted({*(page for pair in PAIRS for page in pair), *NO_TWIN})
in_step = pytest.mark.parametrize(("page", "english"), PAIRS, ids=[page for page, _ in PAIRS])


def test_every_page_has_its_twin() -> None:
    """The reference of objectives is their docstrings, which are English as all code."""
    english = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md") if "zh-" not in str(path)}
    assert english - {twin for _, twin in PAIRS} == {"docs/reference/objectives.md"}


def _prose(text: str) -> str:
    return _FENCE.sub("", text)


def _headings(text: str) -> list[tuple[int, str]]:
    return [(len(marks), words) for marks, words in re.findall(r"^(#+) (.+)$", _prose(text), re.MULTILINE)]


def _tables(text: str) -> list[list[str]]:
    return [table.splitlines() for table in re.findall(r"(?:^\|.*\n)+", _prose(text) + "\n", re.MULTILINE)]


def _own_language(text: str) -> str:
    """Text in which the sample data and configs of a language are called as the English ones."""
    text = re.sub(r"zh-Han[st]", "en", text).replace("configs/zh/", "configs/").replace("runs/zh/", "runs/")
    text = text.replace("dpo-zh.yaml", "dpo.yaml").replace(" model.base=gemma3-270m", "")
    text = text.replace("medicalgpt models pull gemma3-270m --accept-license\n", "")
    return re.sub(r" --language (zh-TW|zh-CN)", "", text)


def _blocks(text: str) -> list[str]:
    """Fenced blocks without comments: what follows a #, and what stands behind the names of a tree of files."""
    found = []
    for _, kind, body in _FENCE.findall(text):
        comment = r" {2,}\S.*$" if not kind else r"(^|[ \t]+)#[ \t].*$"
        body = re.sub(comment, "", _own_language(body), flags=re.MULTILINE)
        found.append("\n".join(line.rstrip() for line in body.splitlines() if line.strip()))
    return found


def _code(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", _own_language(text)))


@in_step
def test_headings_are_as_many_and_of_the_same_levels(page: str, english: str) -> None:
    if page in OWN_EXAMPLES:
        return
    assert [level for level, _ in _headings(_read(page))] == [level for level, _ in _headings(_read(english))]


@in_step
def test_code_blocks_are_the_same(page: str, english: str) -> None:
    if page in OWN_EXAMPLES:
        return
    theirs, ours = _blocks(_read(page)), _blocks(_read(english))
    rest = iter(theirs)
    for block in ours:
        assert block in rest, f"{page} lacks this block, or has it elsewhere or changed:\n{block}"
    assert len(theirs) == len(ours) + MORE_BLOCKS.get(page, 0)


@in_step
def test_tables_have_the_same_rows_with_the_same_keys(page: str, english: str) -> None:
    if page in OWN_EXAMPLES:
        return
    theirs, ours = _tables(_read(page)), _tables(_read(english))
    assert [len(table) for table in theirs] == [len(table) for table in ours]
    for row, original in zip(chain(*theirs), chain(*ours)):
        missing = _code(original) - _code(row)
        assert not missing, f"{page}: {missing} is not in the row\n{row}"
        assert len(re.findall(r"(?<!\\)\|", row)) == len(re.findall(r"(?<!\\)\|", original)), row


@in_step
def test_keys_options_and_files_of_the_prose_are_named(page: str, english: str) -> None:
    if page in OWN_EXAMPLES:
        return
    keys = {c for c in _code(_prose(_read(english))) if re.fullmatch(r"-{0,2}[a-z][\w.-]*(=\S+)?", c)}
    missing = sorted(keys - _code(_prose(_read(page))))
    assert not missing, f"{page} does not name {', '.join(missing)}"


_SCALES = {"million": 10**6, "M parameters": 10**6, "万": 10**4, "亿": 10**8, "億": 10**8}
_SCALED = re.compile(rf"(\d+(?:\.\d+)?) ?({'|'.join(_SCALES)})")


def _numbers(text: str) -> set[str]:
    """Decimals, percentages, and whole numbers of four digits or more: what a change of a page would leave behind in its twins."""
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = _SCALED.sub(lambda found: str(round(float(found[1]) * _SCALES[found[2]])), text)
    return set(re.findall(r"\d+\.\d+|\d{4,}|\d+(?= ?%)", text))


@in_step
def test_numbers_are_the_same(page: str, english: str) -> None:
    ours, theirs = _numbers(_prose(_read(english))), _numbers(_prose(_read(page)))
    assert sorted(ours - theirs) == [], f"{page} lacks numbers of {english}"
    assert sorted(theirs - ours) == [], f"{page} has numbers that {english} lacks"


@in_step
def test_a_page_and_its_twin_point_at_each_other(page: str, english: str) -> None:
    for here, there in ((page, english), (english, page)):
        top = _read(here).partition("\n## ")[0]
        assert f"]({posixpath.relpath(there, posixpath.dirname(here) or '.')})" in top, f"{here}: no link to {there}"


def _slug(heading: str) -> str:
    """The anchor that the site and GitHub give a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
    return re.sub(r"[^\w\- ]", "", unicodedata.normalize("NFC", text)).strip().lower().replace(" ", "-")


@pytest.mark.parametrize("page", ALL)
def test_links_lead_somewhere(page: str) -> None:
    for target in _LINK.findall(_prose(_read(page))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
        assert (ROOT / file).exists(), f"{page}: {target}"
        assert not anchor or anchor in {_slug(words) for _, words in _headings(_read(file))}, f"{page}: {target}"


@in_step
def test_a_page_leads_to_pages_of_its_own_language_where_there_are_any(page: str, english: str) -> None:
    language = next(name for name in LANGUAGES if name in page)
    own = {twin: one for one, twin in PAIRS if language in one}
    for target in _LINK.findall(_prose(_read(page)).partition("\n## ")[2]):
        file = posixpath.normpath(posixpath.join(posixpath.dirname(page), target.partition("#")[0]))
        assert file not in own, f"{page}: {target} is {own.get(file)} in this language"


@cache
def _converter(language: str) -> OpenCC:
    return OpenCC({"zh-CN": "t2s", "zh-TW": "s2tw"}[language])


def _foreign(text: str, language: str) -> str:
    """Characters of the other script, code and quoted words left out."""
    text = re.sub(r"`[^`\n]*`|\]\([^)]*\)", "", _prose(text))
    for word in QUOTED[language]:
        text = text.replace(word, "")
    converted = _converter(language).convert(text)
    assert len(converted) == len(text), "a conversion of characters, not of words"
    return "".join(sorted({a for a, b in zip(text, converted) if a != b} - set(BOTH[language])))


@in_step
def test_a_page_is_written_in_one_script(page: str, english: str) -> None:
    language = next(name for name in LANGUAGES if name in page)
    assert _foreign(_read(page), language) == ""


# Right characters, the other side's words.
ELSEWHERE = {
    "zh-CN": "程式 资料集 资料夹 档案 预设 记忆体 软体 硬体 网路 伺服器 用户端 讯息 萤幕 支援 最佳化 行程 汇出 权杖 字串 回馈",
    "zh-TW": "程序 數據集 文件夾 默認 內存 顯存 軟件 硬件 網絡 服務器 客戶端 屏幕 優化器 進程 導出 字符串 緩存 箇中 后",
}


@in_step
def test_a_page_uses_the_words_of_its_readers(page: str, english: str) -> None:
    text = re.sub(r"`[^`\n]*`", "", _prose(_read(page)))
    language = next(name for name in LANGUAGES if name in page)
    assert [word for word in ELSEWHERE[language].split() if word in text] == []


def _unseen_bold(text: str) -> list[str]:
    """Bold words that CommonMark (GitHub) leaves as asterisks: punctuation at their edge, and a letter right beside it."""
    found = []
    for line in re.sub(r"`[^`\n]*`", "", _prose(text)).splitlines():
        parts = line.split("**")
        for before, words, behind in zip(parts[::2], parts[1::2], parts[2::2]):
            opens = unicodedata.category(words[:1] or " ")[0] == "P" and before[-1:].isalnum()
            closes = unicodedata.category(words[-1:] or " ")[0] == "P" and behind[:1].isalnum()
            found += [words] if opens or closes else []
    return found


@in_step
def test_bold_words_are_bold_on_github_too(page: str, english: str) -> None:
    assert _unseen_bold(_read(page)) == []


@pytest.mark.parametrize("page", [page for page in ALL if "zh-CN" in page])
def test_no_line_ends_between_two_characters(page: str) -> None:
    assert re.findall(r"[\u4e00-\u9fff]\n *[\u4e00-\u9fff]", _prose(_read(page))) == [], "browsers show a gap there"


def test_the_bold_check_finds_asterisks() -> None:
    assert _unseen_bold("- **預檢：**在您的資料上；**输入：** 文字，**好**的") == ["預檢："]


def test_the_number_check_finds_what_changed() -> None:
    assert _numbers("8.44, 1,024 rows, 1.95 million, 5 %, 12 of 16") == {"8.44", "1024", "1950000", "5"}
    assert _numbers("195 万，1024 条，2 亿") == {"1950000", "1024", "200000000"}


def test_the_script_check_finds_the_other_script() -> None:
    assert _foreign("模型学会停下来，語料", "zh-CN") == "語"
    assert _foreign("模型學會停下來，语料", "zh-TW") == "语"
    assert _foreign("列名 `問題`，繁體中文", "zh-CN") == ""


def test_every_translated_page_is_in_the_navigation() -> None:
    text = _read("mkdocs.yml")
    named = {
        path.relative_to(ROOT).as_posix()
        for pattern in re.findall(r" (\S+\.md)\n", text)
        for path in ROOT.glob(pattern)
    }
    assert [page for page in ALL if "zh-" in page and page not in named] == []


def test_the_glossary_keeps_its_columns_apart() -> None:
    rows = [
        re.split(r"(?<!\\)\|", row)[1:-1] for table in _tables(_read("docs/zh-CN/glossary.md")) for row in table[2:]
    ]
    assert len(rows) > 60
    assert len({english.strip() for english, *_ in rows}) == len(rows)
    assert _foreign("\n".join(row[1] for row in rows), "zh-CN") == ""
    assert _foreign("\n".join(row[2] for row in rows), "zh-TW") == ""
