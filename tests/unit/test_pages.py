"""What pages say in passing is true as well: commands in the midst of a sentence, keys, and the tutorial's file."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from medicalgpt.cli import app
from medicalgpt.config.explain import explain
from medicalgpt.config.loader import load
from medicalgpt.config.lookup import schema_of, stage_schema
from medicalgpt.config.pipeline import PipelineConfig
from medicalgpt.config.renamed import RENAMED
from medicalgpt.config.stages import STAGES

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    path.relative_to(ROOT).as_posix()
    for pattern in ("README*.md", "CONTRIBUTING.md", "docs/**/*.md", "examples/**/*.md")
    for path in sorted(ROOT.glob(pattern))
]
_FENCE = re.compile(r"^ *```\w*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
# Left out in a sentence, not wrong: an argument, or the command behind a group.
INCOMPLETE = {"MissingParameter", "NoArgsIsHelpError"}


def _read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def _mentioned(page: str) -> list[str]:
    """Commands in code within sentences, and in blocks of any kind, which tests of commands in bash blocks do not see."""
    text = _read(page)
    blocks = [line.strip().removeprefix("$ ") for block in _FENCE.findall(text) for line in block.splitlines()]
    inline = re.findall(r"`(medicalgpt [^`\n]+)`", _FENCE.sub("", text))
    return [c for c in (*inline, *blocks) if c.startswith("medicalgpt ") and not c.endswith("\\") and "…" not in c]


def _call(words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    context, name = None, "medicalgpt"
    while True:
        context = command.make_context(name, list(words), parent=context)
        if not hasattr(command, "commands"):
            return
        name, command, words = command.resolve_command(context, [*context._protected_args, *context.args])


def _wrong(command: str) -> str | None:
    """What click says of a command that there is not, or of an option that it does not have."""
    try:
        _call(shlex.split(command.partition(" && ")[0], comments=True)[1:])
    except typer.exceptions.Exit:  # --version, --help
        return None
    except typer.exceptions.TyperException as error:  # of the click within typer
        unsaid = type(error).__name__ in INCOMPLETE or str(error).endswith("requires an argument.")
        unsaid = unsaid or any(f"'{word}' is not" in str(error) for word in command.split() if word.isupper())  # NAME
        return None if unsaid else f"{command}: {error}"
    return None


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_a_page_mentions_exist_with_their_options(page: str) -> None:
    assert [wrong for command in _mentioned(page) if (wrong := _wrong(command))] == []


@pytest.mark.parametrize("command", ["medicalgpt trian sft", "medicalgpt runs lst", "medicalgpt chat --modell x"])
def test_a_command_or_option_that_there_is_not_is_found(command: str) -> None:
    assert _wrong(command)


def test_sentences_mention_commands_at_all() -> None:
    assert sum(len(_mentioned(page)) for page in PAGES) > 300


KEYS = {row.key for stage in STAGES for row in explain(stage_schema(stage))}
KEYS |= {row.key for schema in (schema_of("curate"), PipelineConfig) for row in explain(schema)}
SECTIONS = {key.split(".")[0] for key in KEYS if "." in key}


def _unknown_keys(page: str) -> list[str]:
    """Words in code that look like a key of a section, but are neither a key nor a module, a file or an old name of a key."""
    words = set(re.findall(r"`([a-z_]+\.[a-z_.]+)(?:=[^`]*)?`", _read(page)))
    looks = {w for w in words if w.split(".")[0] in SECTIONS and w not in KEYS and not w.endswith((".json", ".py"))}
    places = {w: ROOT / "src/medicalgpt" / w.replace(".", "/") for w in looks}
    return sorted(w for w in looks - set(RENAMED) if not (places[w].is_dir() or places[w].with_suffix(".py").is_file()))


@pytest.mark.parametrize("page", PAGES)
def test_keys_that_a_page_names_exist(page: str) -> None:
    assert _unknown_keys(page) == []


def test_a_key_that_there_is_not_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.md").write_text(
        "`train.epochs=3`, `train.epoch`, `data.reader`, `data.colums={a: b}`", encoding="utf-8"
    )
    assert _unknown_keys(str(tmp_path / "page.md")) == ["data.colums", "train.epoch"]


@pytest.mark.parametrize("page", ["docs/tutorial.md", "docs/zh-CN/tutorial.md", "docs/zh-TW/tutorial.md"])
def test_the_tutorial_shows_the_pipeline_that_it_runs(page: str) -> None:
    file = ROOT / "configs/pipelines/tutorial.yaml"
    (shown,) = re.findall(r"```yaml\n(.*?)```", _read(page), re.DOTALL)
    assert yaml.safe_load(shown) == yaml.safe_load(file.read_text(encoding="utf-8"))
    stages = load(PipelineConfig, file).value.stages
    assert [entry.stage for entry in stages] == ["curate", "sft", "dpo"]
