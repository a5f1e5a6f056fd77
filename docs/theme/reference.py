"""Two pages that are made while the site is built: every command with its options, every key with its default.

They are what `--help` and `config explain` print, so neither can be out of date. In the repository itself those commands say it.
"""

from collections.abc import Iterator
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from medicalgpt.cli import app
from medicalgpt.config.explain import Row, explain
from medicalgpt.config.lookup import schema_of, stage_schema
from medicalgpt.config.pipeline import PipelineConfig
from medicalgpt.config.stages import STAGES

NAMES = {"": "At the top", "corpus": "Curation", "pipeline": "Pipelines"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds both pages."""
    for name, text in (("commands", commands()), ("keys", keys())):
        files.append(File.generated(config, f"docs/reference/{name}.md", content=text))
    return files


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
    parts = [
        "# Keys",
        "What `medicalgpt config explain STAGE` prints, for all stages at once. [How they are set](../training.md#configuration)",
    ]
    sections = list(dict.fromkeys(row.key.rpartition(".")[0] for row in variants))
    for section in sorted(sections, key=lambda name: name != ""):
        rows = {row: stages for row, stages in variants.items() if row.key.rpartition(".")[0] == section}
        parts += [f"## {section or NAMES['']}", _table(rows)]
    for name, schema in (("corpus", schema_of("curate")), ("pipeline", PipelineConfig)):
        parts += [f"## {NAMES[name]}", _table({row: list(STAGES) for row in explain(schema)})]
    return "\n\n".join(parts) + "\n"


def _table(rows: dict[Row, list[str]]) -> str:
    """Key, type, default and meaning; a key that not all stages have says which do."""
    lines = ["| Key | Type | Default | Meaning |", "|---|---|---|---|"]
    for row, stages in rows.items():
        kind = f"{row.type}: {row.allowed}" if row.allowed else row.type
        only = "" if len(stages) == len(STAGES) else f" ({', '.join(stages)})"
        lines.append(f"| `{row.key}` | {_cell(kind)} | {_code(_cell(row.default))} | {_cell(row.description)}{only} |")
    return "\n".join(lines)


def commands() -> str:
    """Every command that does something, in the order of `medicalgpt --help`."""
    parts = ["# Commands", "What `medicalgpt COMMAND --help` prints, for all commands at once."]
    for name, command in _leaves("medicalgpt", typer.main.get_command(app)):
        parts += [f"## {name}", (command.help or "").strip()]
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
    lines = ["| Word | Default | Meaning |", "|---|---|---|"]
    for param in sorted(command.params, key=lambda p: p.param_type_name != "argument"):
        if param.name == "help" or getattr(param, "hidden", False):
            continue
        argument = param.param_type_name == "argument"
        word = (param.metavar or param.name.upper()) if argument else ", ".join((*param.opts, *param.secondary_opts))
        default = "required" if param.required else _default(param.default)
        lines.append(f"| `{_cell(word)}` | {_cell(default)} | {_cell(param.help or '')} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def _default(value: object) -> str:
    if value is None or callable(value):
        return ""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
