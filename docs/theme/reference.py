"""Two pages a language that are made while the site is built: every command with its options, every key with its default.

They are what `--help` and `config explain` print, so none can be out of date. In the repository itself those commands say it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from medicalgpt.cli import app
from medicalgpt.config.explain import Row, explain
from medicalgpt.config.lookup import schema_of, stage_schema
from medicalgpt.config.pipeline import PipelineConfig
from medicalgpt.config.stages import STAGES
from medicalgpt.language import LANGUAGES, choose, chosen, translated

# What these pages say beyond the program's own words.
WORDS = {
    "en": {
        **{"": "At the top", "corpus": "Curation", "pipeline": "Pipelines"},
        **{"keys": "Keys", "commands": "Commands", "on": "on", "off": "off", "required": "required"},
        "made by keys": "What `medicalgpt config explain STAGE` prints, for all stages at once. "
        "[How they are set](../training.md#configuration)",
        "made by commands": "What `medicalgpt COMMAND --help` prints, for all commands at once.",
        "key": "| Key | Type | Default | Meaning |",
        "word": "| Word | Default | Meaning |",
    },
    "zh-CN": {
        **{"": "最上层", "corpus": "整理语料", "pipeline": "流水线"},
        **{"keys": "配置键", "commands": "命令", "on": "开", "off": "关", "required": "必填"},
        "made by keys": "`medicalgpt config explain STAGE` 对所有阶段打印的内容，合在一页。[怎样设置](../training.md#配置)",
        "made by commands": "`medicalgpt COMMAND --help` 对所有命令打印的内容，合在一页。",
        "key": "| 键 | 类型 | 默认值 | 含义 |",
        "word": "| 词 | 默认值 | 含义 |",
    },
    "zh-TW": {
        **{"": "最上層", "corpus": "整理語料", "pipeline": "流程"},
        **{"keys": "設定鍵", "commands": "命令", "on": "開", "off": "關", "required": "必填"},
        "made by keys": "`medicalgpt config explain STAGE` 對所有階段印出的內容，合在一頁。",
        "made by commands": "`medicalgpt COMMAND --help` 對所有命令印出的內容，合在一頁。",
        "key": "| 鍵 | 型別 | 預設值 | 含義 |",
        "word": "| 詞 | 預設值 | 含義 |",
    },
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds both pages in every language."""
    for language in LANGUAGES:
        with speaking(language):
            for name, text in (("commands", commands()), ("keys", keys())):
                files.append(File.generated(config, place_of(name, language), content=text))
    return files


def place_of(name: str, language: str) -> str:
    """Where a page of the reference stands."""
    return f"docs/reference/{name}.md" if language == "en" else f"docs/{language}/reference/{name}.md"


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """The program's words in one language, for the time of a page."""
    choose(language)
    try:
        yield
    finally:
        choose(None)


def _word(name: str) -> str:
    return WORDS[chosen()][name]


def _cell(text: object) -> str:
    """One line that ends no cell, and whose brackets are no tags."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def keys() -> str:
    """The keys of all stages by section, then those of curations and pipelines."""
    variants: dict[Row, list[str]] = {}
    for stage in STAGES:
        for row in explain(stage_schema(stage)):
            variants.setdefault(row, []).append(stage)
    parts = [f"# {_word('keys')}", _word("made by keys")]
    sections = list(dict.fromkeys(row.key.rpartition(".")[0] for row in variants))
    for section in sorted(sections, key=lambda name: name != ""):
        rows = {row: stages for row, stages in variants.items() if row.key.rpartition(".")[0] == section}
        parts += [f"## {section or _word('')}", _table(rows)]
    for name, schema in (("corpus", schema_of("curate")), ("pipeline", PipelineConfig)):
        parts += [f"## {_word(name)}", _table({row: list(STAGES) for row in explain(schema)})]
    return "\n\n".join(parts) + "\n"


def _table(rows: dict[Row, list[str]]) -> str:
    """Key, type, default and meaning; a key that not all stages have says which do."""
    lines = [_word("key"), "|---|---|---|---|"]
    for row, stages in rows.items():
        kind = translated(row.type, words=True) + (f": {translated(row.allowed)}" if row.allowed else "")
        only = "" if len(stages) == len(STAGES) else f" ({', '.join(stages)})"
        default, meaning = _code(_cell(row.default)), _cell(translated(row.description))
        lines.append(f"| `{row.key}` | {_cell(kind)} | {default} | {meaning}{only} |")
    return "\n".join(lines)


def commands() -> str:
    """Every command that does something, in the order of `medicalgpt --help`."""
    parts = [f"# {_word('commands')}", _word("made by commands")]
    for name, command in _leaves("medicalgpt", typer.main.get_command(app)):
        parts += [f"## {name}", translated((command.help or "").strip())]
        if table := _options(command):
            parts.append(table)
    return "\n\n".join(parts) + "\n"


def _leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for word, inner in command.commands.items():
        yield from _leaves(f"{name} {word}", inner)


def _options(command: Any) -> str:
    """Arguments first, as they are written; --help is left out."""
    lines = [_word("word"), "|---|---|---|"]
    for param in sorted(command.params, key=lambda p: p.param_type_name != "argument"):
        if param.name == "help" or getattr(param, "hidden", False):
            continue
        argument = param.param_type_name == "argument"
        word = (param.metavar or param.name.upper()) if argument else ", ".join((*param.opts, *param.secondary_opts))
        default = _word("required") if param.required else _default(param.default)
        lines.append(f"| `{_cell(word)}` | {_cell(default)} | {_cell(translated(param.help or ''))} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def _default(value: object) -> str:
    if value is None or callable(value):
        return ""
    return _word("on" if value else "off") if isinstance(value, bool) else str(value)
