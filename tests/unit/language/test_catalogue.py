"""Finished texts are recognized, their values carried over; what is not known whole stays English."""

import time

import pytest

from medicalgpt.language.catalogue import Catalogue, catalogue, is_prose
from medicalgpt.language.pattern import numbers, parse

KNOWN = Catalogue(
    {
        "nothing was deleted": "没有删除任何内容",
        "{path}: no such file": "{path}：没有这个文件",
        "{place}: {message}": "{place}：{message}",
        "{count} row{|s} of {file} {is|are} bad": "{file} 中有 {count} 条坏数据",
        "unknown key '{key}'{hint}": "未知的键 '{key}'{hint}",
        "; did you mean {names}?": "；您是不是想写 {names}？",
        "{first} or {rest}": "{first} 或 {rest}",
        "allowed: {expected}": "允许：{expected}",
        "number": "数字",
        "a column {name} is missing": "缺少列 {name}",
        "give {{path: NAME}}, not {given}": "请写 {{path: NAME}}，不要写 {given}",
        "the disk is full ({numbers})": "磁盘已满（{numbers}）",
        "{size} free": "还剩 {size}",
        "{size} are needed": "需要 {size}",
        "{what} failed: {why}": "{what} 失败：{why}",
        'rows say "{words}" first': '数据先说 "{words}"',
        "{name} is missing": "缺少 {name}",
        "empty or copied answer": "空的或照抄的回答",
        "  kept: {count}": "  保留：{count}",
        "copied {what}": "照抄的 {what}",
        "override '{given}'": "覆盖项 '{given}'",
    }
)


@pytest.mark.parametrize(
    ("english", "told"),
    [
        ("nothing was deleted", "没有删除任何内容"),
        ("/data/a.jsonl: no such file", "/data/a.jsonl：没有这个文件"),
        ("1 row of a.csv is bad", "a.csv 中有 1 条坏数据"),
        ("3 rows of a.csv are bad", "a.csv 中有 3 条坏数据"),
        ("unknown key 'lr'", "未知的键 'lr'"),
        ("unknown key 'lr'; did you mean 'a' or 'b'?", "未知的键 'lr'；您是不是想写 'a' 或 'b'？"),
        ("a.yaml:3: unknown key 'x; y'", "a.yaml:3：未知的键 'x; y'"),
        ("give {path: NAME}, not {x}", "请写 {path: NAME}，不要写 {x}"),
        ("the disk is full (2 MB are needed, 1 MB free)", "磁盘已满（需要 2 MB，还剩 1 MB）"),
        ("the disk is full (1, 2)", "磁盘已满（1, 2）"),
        ("  a.csv: no such file\n  b.csv: no such file", "  a.csv：没有这个文件\n  b.csv：没有这个文件"),
        ('rows say "You are a nurse of ours" first', '数据先说 "You are a nurse of ours"'),
        ('rows say "nothing was deleted" first', '数据先说 "nothing was deleted"'),
        ("a.csv: 1,204 nothing was deleted", "a.csv：1,204 没有删除任何内容"),
        ("reading failed: nothing was deleted", "reading 失败：没有删除任何内容"),
        ("a.csv:3: answer is missing", "a.csv:3：缺少 answer"),
        ("/data/a.csv: answer is missing", "/data/a.csv：缺少 answer"),
        ("b.yaml: no such file\na is missing", "b.yaml：没有这个文件\n缺少 a"),
        ("   12 empty or copied answer", "   12 空的或照抄的回答"),
        ("  kept: 3", "  保留：3"),
        ("override 'a=1': unknown key 'a'", "覆盖项 'a=1'：未知的键 'a'"),
    ],
)
def test_values_are_carried_over(english: str, told: str) -> None:
    assert KNOWN.translate(english) == told


@pytest.mark.parametrize(
    "text",
    [
        "nobody wrote this sentence here",
        "reading failed: the moon is full",
        "a.csv: no such file\nand then something else happened",
        "the disk is full (who knows why)",
        "a.csv: done",
        "",
        "x" * 100_000 + ": no such file",
    ],
)
def test_what_is_not_known_whole_stays_english_whole(text: str) -> None:
    assert KNOWN.translate(text) == text


def test_a_single_word_is_translated_only_where_it_is_ours() -> None:
    assert KNOWN.translate("allowed: number") == "允许：数字"
    assert KNOWN.translate("a column number is missing") == "缺少列 number"
    assert KNOWN.translate("text or number") == "text 或 number"
    assert KNOWN.translate("text or number", words=True) == "text 或 数字"


def test_words_in_quotes_commands_and_chinese_are_no_english() -> None:
    assert not is_prose("'my own file'")
    assert not is_prose("medicalgpt train sft")
    assert not is_prose("模型在 my own folder 里")
    assert is_prose("my own folder")


def test_percent_signs_and_braces_of_a_value_do_no_harm() -> None:
    assert KNOWN.translate("{0.__class__}%s{: no such file") == "{0.__class__}%s{：没有这个文件"


def test_hostile_values_take_bounded_time() -> None:
    text = "; ".join(["a: b or c (d, e)"] * 1200)
    begun = time.perf_counter()
    KNOWN.translate(text)
    KNOWN.translate("unknown key '" + "'; did you mean " * 1000 + "?")
    KNOWN.translate(": " * 9000)
    assert time.perf_counter() - begun < 2.0


def test_touching_places_are_one_and_plurals_are_written_out() -> None:
    assert parse("{a}{b} of {c}").names == (("a", "b"), ("c",))
    assert list(numbers("{n} row{|s} {is|are}")) == ["{n} row is", "{n} row are", "{n} rows is", "{n} rows are"]


@pytest.mark.parametrize(
    ("english", "told"),
    [
        (
            "data.train is required: list of text or section with keys such as path / rows, at least 1 of them; "
            "write it in the file or as data.train=…\n"
            "output_dir is required: text; write it in the file or as output_dir=…",
            "缺少 data.train：文本或含有 path / rows 等键的小节的列表，至少 1 个；请写在文件里，或写成 data.train=…\n"
            "缺少 output_dir：文本；请写在文件里，或写成 output_dir=…",
        ),
        (
            "override 'data.train=[{path: x}]': unknown key 'data.train[0].row'",
            "覆盖项 'data.train=[{path: x}]'：未知的键 'data.train[0].row'",
        ),
    ],
)
def test_what_a_first_training_gets_wrong_is_said_in_chinese(english: str, told: str) -> None:
    assert catalogue("zh-CN").translate(english) == told
