"""What PyYAML finds wrong with a text is said in the reader's language, all of it."""

import ast
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
import yaml

pytest.importorskip("babel")

from messages.of_yaml import FOUND, TOKENS, WHERE, YAML

from medicalgpt.config.yaml_text import YamlError, parse
from medicalgpt.language import choose, translated
from medicalgpt.language.pattern import parse as pattern

BAD = (
    ("a: [1, 2", "解析方括号里的列表时；应为 ',' 或 ']'，却是 <文本的结尾>"),
    ("a: {b: 1\nc: 2", "解析花括号里的映射时；应为 ',' 或 '}'，却是 ':'"),
    ("a: 1\n\tb: 2", "读取下一个符号时；字符 '\\t' 不能放在开头"),
    ("a: 1\n b: 2", "此处不能有映射的值"),
    ("a:\n  - 1\n  b: 2", "解析块列表时；应为<块的结尾>，却是 '?'"),
    ("a: 1\nb\nc: 2", "读取键时；找不到应有的 ':'"),
    ("a: 'x", "读取引号里的文本时；文本意外结束"),
    ('a: "\\q"', "读取双引号里的文本时；未知的转义字符 'q'"),
    ("a: *b", "别名 'b' 没有定义"),
    ("a: 1\n---\nb: 2", "只能有一个文档；但后面还有一个文档"),
    ("a: &x 1\nb: &x 2", "锚点 'x' 重复；第一次出现；第二次出现"),
    ("a: b: c", "此处不能有映射的值"),
)


@pytest.fixture(autouse=True)
def _chinese() -> Iterator[None]:
    choose("zh-CN")
    yield
    choose(None)


def _fault(text: str) -> str:
    with pytest.raises(YamlError) as caught:
        parse(text)
    return caught.value.message


@pytest.mark.parametrize(("text", "told"), BAD, ids=[text for text, _ in BAD])
def test_a_bad_text_is_told_in_chinese(text: str, told: str) -> None:
    assert translated(f"c.yaml:1: not valid YAML: {_fault(text)}") == f"c.yaml:1：不是有效的 YAML：{told}"


def _raised() -> set[str]:
    """What the parts of PyYAML that read a text may say, with x for each value."""
    found = set()
    for part in ("scanner", "parser", "composer"):
        tree = ast.parse(Path(yaml.__file__).with_name(f"{part}.py").read_text(encoding="utf-8"))
        raised = (node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise))
        for node in chain.from_iterable(one.args for one in raised if isinstance(one, ast.Call)):
            if isinstance(node, ast.BinOp):
                node = node.left
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                clauses = re.sub(r"'(<[a-z ]+>)'", r"\1", re.sub(r"%\w", "x", node.value)).removesuffix(",").split("; ")
                found.update(clauses)
    return found


def test_the_table_has_all_that_pyyaml_says() -> None:
    known = {re.sub(r"'x'", "x", "x".join(pattern(text).literals)) for text in (*WHERE, *FOUND)}
    names = {"while scanning a x", "while scanning an x", "while parsing a x", "while parsing a x node"}
    assert _raised() - names - known == set()
    classes = (token for token in vars(yaml.tokens).values() if isinstance(token, type))
    assert {id for token in classes if (id := getattr(token, "id", "-")).startswith("<")} == set(TOKENS)


def test_each_is_translated() -> None:
    said = ["x".join(pattern(text).literals) for text in YAML]
    assert [text for text in said if translated(text) == text] == []
