"""The command line in the reader's language: help, keys, wrong usage, errors; programs and English lose nothing."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from rich import _wrap
from rich.cells import cell_len
from rich.text import Text
from tests.unit.cli.test_startup import COMMANDS
from typer.testing import CliRunner

from medicalgpt.cli import app
from medicalgpt.config.stages import STAGES
from medicalgpt.language import choose, translated

CHINESE = re.compile("[\u4e00-\u9fff]")


@pytest.fixture(autouse=True)
def _english_again(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """typer's own words are set in its module and on its class of contexts."""
    from typer import rich_utils

    from medicalgpt.cli.help_texts import FRAME

    monkeypatch.setattr(_wrap, "re_word", _wrap.re_word)
    for name in (*FRAME, "_make_rich_text"):
        monkeypatch.setattr(rich_utils, name, getattr(rich_utils, name))
    made = typer.main.get_command(app).make_context("medicalgpt", ["examples"])
    monkeypatch.setattr(type(made), "formatter_class", type(made).formatter_class)
    monkeypatch.setattr(rich_utils, "MAX_WIDTH", 4000)
    yield
    choose(None)


def run(*words: str, language: str = "zh-CN") -> str:
    done = CliRunner().invoke(app, ["--lang", language, *words])
    return done.output


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_whole(command: str) -> None:
    shown = run(*command.split(), "--help")
    assert "用法：" in shown
    assert re.search(r"Usage:|Show this message|Options ─|Arguments ─|\[required\]|default:", shown) is None
    for line in shown.splitlines():
        text = re.split(r"<[\w|]+>|\s{2,}", line.strip(" │"))[-1]
        prose = re.sub(r"`[^`]*`|https?://\S+|medicalgpt \S+", "", text)
        assert CHINESE.search(text) or not re.search(r"[A-Z]?[a-z]{2,}( [a-z]{2,}){2,}", prose), line


PLACES = re.compile(
    r"\[OPTIONS\]|COMMAND|ARGS|<(int|float|bool|str|list\[str\]|path)( range)?>|\b(FILE|FOLDER|NAMES?|TEXT)\b"
)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_help_is_cut_off_or_names_places_in_english(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """rich ends what is between two spaces with an ellipsis where it is longer than a line."""
    from typer import rich_utils

    monkeypatch.setattr(rich_utils, "MAX_WIDTH", 80)
    shown = run(*command.split(), "--help")
    assert re.findall(r".*[^ ]… *│", shown) == []
    assert max(map(cell_len, shown.splitlines())) <= 80
    assert PLACES.search(shown) is None
    assert re.search(r"─ [A-Z]", shown) is None, "the title of a panel"


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_help_keeps_the_extras_in_brackets(language: str) -> None:
    """rich takes [words] for its own marks."""
    shown = run("generate", "--help", language=language)
    for extra in ("vllm", "llamacpp", "structured"):
        assert f"medicalgpt[{extra}]" in shown
    root = typer.main.get_command(app)
    texts = [text for holder in _holders(root) if (text := getattr(holder, "help", None))]
    assert len(texts) > 100
    assert [text for text in texts if Text.from_markup(text).plain != text.replace("\\[", "[")] == []


def _holders(command: Any) -> Iterator[Any]:
    yield from (command, *command.params)
    for inner in getattr(command, "commands", {}).values():
        yield from _holders(inner)


@pytest.mark.parametrize("stage", [*STAGES, "curate"])
def test_every_key_is_explained(stage: str) -> None:
    lines = run("config", "explain", stage).splitlines()
    told = [line for line in lines if CHINESE.search(line)]
    assert len(told) >= 0.9 * len(lines) > 30  # a new key may wait for its translation
    assert [line for line in told if "default" in line.partition(": ")[2][:80] and "，默认 " not in line] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "sfx"], "错误：未知的阶段 'sfx'"),
        (["train", "--foo"], "没有选项：--foo。键是不带短横线的词"),
        (["train"], "缺少参数 '阶段'。"),
        (["finetune"], "没有命令 'finetune'。您是不是想用 'train'？"),
        (["no-such"], "没有命令 'no-such'。"),
        (["evaluate", "run"], "缺少选项 '--model'。"),
        (["evaluate", "run", "--model", "m", "--limit", "x"], "'--limit' 的值无效：应为整数"),
        (["models", "pull", "nothing"], "'nothing' 不是内嵌模型"),
        (["config", "validate", "sft", "/no/such.yaml"], "/no/such.yaml"),
    ],
)
def test_wrong_usage_and_errors_are_told(words: list[str], said: str) -> None:
    assert said in run(*words).replace("\n       ", "")


def test_a_config_with_several_faults(tmp_path: Any) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "data: {train: [a.jsonl]}\ntrain: {lerning_rate: 3, epochs: abc}\noutput_dir: x\nlora: {rank: text}\n"
    )
    shown = run("config", "validate", "sft", str(file))
    for line in (
        'lora.rank 为 "text"；允许：整数 ≥ 1、≤ 1024',
        'train.epochs 为 "abc"；允许：数字 > 0',
        "未知的键 'train.lerning_rate'；您是不是想写 'train.learning_rate'？",
    ):
        assert line in shown
    assert "is" not in re.findall(r"\b[a-z]+\b", shown.replace(str(file), ""))


def test_traditional_chinese() -> None:
    assert "記憶體" in run("estimate", "--help", language="zh-TW")
    assert "錯誤：未知的階段 'sfx'" in run("train", "sfx", language="zh-TW")


def test_a_language_nobody_speaks_here() -> None:
    done = CliRunner().invoke(app, ["--lang", "fr", "models", "list"])
    assert (done.exit_code, done.output) == (2, "error: --lang is 'fr'; allowed: en, zh-TW, zh-CN\n")


def test_what_programs_read_is_english_in_every_language(tmp_path: Any) -> None:
    assert run("runs", "list", str(tmp_path), "--json") == "[]\n"
    try:
        choose("zh-CN")
        from medicalgpt.config.lookup import stage_schema
        from medicalgpt.errors import ConfigError

        with pytest.raises(ConfigError, match="unknown stage 'sfx'; stages are"):
            stage_schema("sfx")
    finally:
        choose(None)


def test_english_loads_no_catalogue() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from medicalgpt.cli import app\n"
        "for words in (['--help'], ['config', 'explain', 'sft'], ['train', 'sfx']): CliRunner().invoke(app, words)\n"
        "assert 'medicalgpt.language.catalogue' not in sys.modules"
    )
    for environment in ({"MEDICALGPT_LANG": "en", "LANG": "zh_CN.UTF-8"}, {"MEDICALGPT_LANG": "", "LANG": "C.UTF-8"}):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "LC_ALL": "", **environment},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]


def test_untranslated_is_english() -> None:
    assert translated("no template is like this one") == "no template is like this one"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("512 tokens", "512 个 token"),
        ("triage-en: 12 of 30", "triage-en：12 / 30"),
        (
            "it was made by medicalgpt 0.1.0, whose code for the numbers is another; it stays as it is. To train it again, "
            "remove the folder",
            "它由 medicalgpt 0.1.0 做成，其中计算数字的代码不同；",
        ),
        (
            "hf://runs/a: the model cannot be reached (ConnectError); check the network, HF_ENDPOINT and proxies, or use a folder; "
            "nor is there a folder 'runs/a' here (did you mean runs/b?)",
            "hf://runs/a：模型无法连接（ConnectError）；请检查网络、HF_ENDPOINT 和代理，或使用文件夹"
            "；这里也没有文件夹 'runs/a'（您是不是想",
        ),
        ("first user turn", "第一个用户轮次"),
        ("p.jsonl: not read: flaw (34 rows)", "p.jsonl：没有读取：flaw（34 条）"),
        (
            "; on the Hub the same questions are in GBaker/MedQA-USMLE-4-options-hf, split test, in other files",
            "；在 Hub 上，同样的问题位于 GBaker/MedQA-USMLE-4-options-hf（拆分为 test），文件不同",
        ),
        ("  warning: 99 rows: the column 'flaw' was not read", "  警告：99 条数据：没有读取列 'flaw'"),
        (
            "  warning: 1 rows: replacement character U+FFFD in the text: it was damaged before it came here",
            "  警告：1 条数据：文本中有替换字符 U+FFFD",
        ),
        ("173 rows: 171 kept, 2 dropped", "173 条：保留 171，丢弃 2"),
        ("personal data: in 2 rows: organization 2", "个人信息：在 2 条里：organization 2"),
        (
            "left out: a/b.json, c.pt and 4 more (only a run that goes on needs them)",
            "没有放入：a/b.json, c.pt 以及另外 4 个",
        ),
        (
            "left out: samples.jsonl (text of rows and answers; --with text adds it)",
            "没有放入：samples.jsonl（数据和回答的文本",
        ),
    ],
)
def test_what_the_tutorials_commands_print_is_no_mixture(text: str, told: str) -> None:
    choose("zh-CN")
    assert translated(text).startswith(told)


def test_an_estimate_is_told_in_the_readers_language() -> None:
    words = ("estimate", "--params", "7B", "--device", "cuda", "--dtype", "mixed", "--stage", "ppo", "--method", "full")
    shown = run(*words, "--shard", "8", "--replicate", "2")
    lines = shown.splitlines()
    assert [line for line in lines if not CHINESE.search(line.replace("critic", "评"))] == []
    assert len({cell_len(line) for line in lines if line.startswith("  ")}) == 1, "columns of one width"
    assert run(*words, language="en").startswith("7B (ppo): 6,738.4 M parameters")


@pytest.mark.parametrize("language", ["zh-CN", "zh-TW"])
def test_titles_of_tests_and_sources_of_templates_are_told_in_the_readers_language(language: str) -> None:
    """What stays are names: of data sets, models, exams and people's repositories."""
    for words in (("evaluate", "tests"), ("models", "templates")):
        shown = run(*words, language=language)
        prose = re.sub(r"https?://\S+|[\w.-]+/[\w./-]+|'.*?'", "", shown)
        assert re.findall(r"\b(?:the|this|and|or|from|as in|subjects?|options?|thinking)\b", prose) == [], words
    assert "MMLU, six medical subjects; https" in run("evaluate", "tests", language="en")


def test_a_title_of_the_users_own_is_nobodys_sentence() -> None:
    choose("zh-CN")
    assert translated("MMLU, six medical subjects", exact=True) == "MMLU，六个医学科目"
    assert translated("Cardiology and nephrology", exact=True) == "Cardiology and nephrology"
    assert translated("MMLU, six medical subjects", language="en", exact=True) == "MMLU, six medical subjects"
