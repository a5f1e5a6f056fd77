"""Rules of the house: file sizes, names, shipped configs, documented commands, sample data."""

import ast
import json
import re
import runpy
import shlex
import tomllib
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import medicalgpt
from medicalgpt.cli import app, legacy
from medicalgpt.config.loader import load
from medicalgpt.config.lookup import schema_of, stage_schema
from medicalgpt.config.pipeline import PipelineConfig
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.split import group_key
from medicalgpt.models.embedded.registry import embedded
from medicalgpt.models.families import FAMILIES
from medicalgpt.models.locate import hub_address
from medicalgpt.pipeline.run import _corpus_config, _stage_config, split_overrides
from medicalgpt.rewards.choices import choice_letters
from medicalgpt.rewards.matching import contains_text

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "examples" / "data"
KINDS = {"documents": "document", "dialogues": "dialogue", "preferences": "preference", "choices": "dialogue"}

LANGUAGES = ("en", "zh-Hant", "zh-Hans")


def test_no_source_file_is_over_400_lines() -> None:
    long = [p.name for p in (ROOT / "src").rglob("*.py") if len(p.read_text(encoding="utf-8").splitlines()) > 400]
    assert long == []


def test_no_file_has_a_name_that_explains_nothing() -> None:
    banned = {"utils.py", "util.py", "helpers.py", "common.py", "misc.py"}
    assert [p for p in (ROOT / "src").rglob("*.py") if p.name in banned] == []


def _imported(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_what_only_unix_has_is_imported_where_the_platform_was_asked_for() -> None:
    unix = {"fcntl", "grp", "pwd", "resource", "termios", "tty", "pty"}
    sources = {path: ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "src").rglob("*.py")}
    assert [path.name for path, tree in sources.items() if unix & set(_imported(tree.body))] == []


# -- types --------------------------------------------------------------------------------------------------------------
# These numbers may fall, not grow. By hand, import lines left out:
#   git grep -hw Any -- 'src/**/*.py' | grep -v import | grep -ow Any | wc -l
#   git grep -h 'type: ignore' -- 'src/**/*.py' | wc -l
MOST_ANY, MOST_IGNORES, MOST_UNEXPLAINED, MOST_CASTS = 400, 40, 24, 12
_IGNORE = re.compile(r"# type: ignore(\[[a-z, -]+\])?(\s+# \S.*)?")


def _source_lines() -> list[str]:
    files = sorted((ROOT / "src").rglob("*.py"))
    return [line for p in files for line in p.read_text(encoding="utf-8").splitlines()]


def test_any_is_rare() -> None:
    lines = [line for line in _source_lines() if not re.match(r"\s*(from \S+ )?import ", line)]
    assert sum(len(re.findall(r"\bAny\b", line)) for line in lines) < MOST_ANY


def test_few_lines_are_kept_from_the_type_checker_and_say_from_which_error_and_why() -> None:
    found = [match for line in _source_lines() if (match := _IGNORE.search(line))]
    assert len(found) < MOST_IGNORES
    assert [match.string.strip() for match in found if match.group(1) is None] == []
    assert sum(match.group(2) is None for match in found) <= MOST_UNEXPLAINED


def test_casts_are_rare() -> None:
    assert sum(len(re.findall(r"\bcast\(", line)) for line in _source_lines()) <= MOST_CASTS


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/**/*.yaml")), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_shipped_config_loads(path: Path) -> None:
    stage = path.stem.partition("-")[0]  # grpo-medical.yaml is of the stage grpo
    schema = PipelineConfig if path.parent.name == "pipelines" else schema_of(stage)
    value = load(schema, path).value
    for entry in getattr(value, "stages", []):
        assert entry.config is None or (path.parent / entry.config).is_file()


# -- documented commands ------------------------------------------------------------------------------------------------
def _bash_lines(text: str) -> Iterator[str]:
    """Command lines of the fenced bash blocks, continued lines joined."""
    for block in re.findall(r"^ *```(?:bash|sh|shell|console)\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                yield line.strip().removeprefix("$ ")


def _documented(first_word: str) -> list[Any]:
    """Every documented call of a program, as a parameter named after its place."""
    files = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
    found = []
    for file in sorted(files):
        for line in _bash_lines(file.read_text(encoding="utf-8")):
            for part in re.split(r"\s(?:\||&&|;)\s", line):
                words = shlex.split(part, comments=True)
                if first_word in words:
                    found.append(pytest.param(words[words.index(first_word) + 1 :], id=f"{file.name}: {part}"))
    return found


def _parse(words: list[str]) -> tuple[str, dict[str, Any]]:
    """The command that words call and its parameters; raises click's UsageError for an unknown command or option."""
    command: Any = typer.main.get_command(app)
    context, name = None, "medicalgpt"
    while True:
        context = command.make_context(name, list(words), parent=context)
        if not hasattr(command, "commands"):
            return context.command_path, context.params
        name, command, words = command.resolve_command(context, [*context._protected_args, *context.args])


@pytest.mark.parametrize("words", _documented("medicalgpt"))
def test_every_documented_command_is_right(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    if words == ["--version"]:
        return
    path, given = _parse(words)
    called, overrides = path.removeprefix("medicalgpt "), given.get("overrides") or []
    if called == "train":
        load(stage_schema(given["stage"]), given["config"], overrides)
    elif called == "data curate":
        load(schema_of("curate"), given["config"], overrides)
    elif called in ("config validate", "config resolve"):
        load(schema_of(given["stage"]), given["file"], overrides)
    elif called == "pipeline run":
        resolved, per_stage = split_overrides(given["file"], overrides)
        places = {"base": resolved.value.base}
        for entry in resolved.value.stages:
            make = _corpus_config if entry.stage == "curate" else _stage_config
            make(entry, given["file"], resolved.value, per_stage[entry.name], places)
    elif called == "models pull":
        if hub_address(given["name"]) is None:
            embedded(given["name"])
    elif called == "config explain":
        schema_of(given["stage"])
    for name in [*given.get("paths", []), *([given["source"]] if called == "generate" else [])]:
        assert Path(name).exists() or not str(name).startswith("examples"), f"{name} is not shipped"


SCRIPTS = {
    "inference.py": legacy.inference_parser,
    "inference_multigpu_demo.py": legacy.multigpu_parser,
}


@pytest.mark.parametrize(
    ("script", "words"), [pytest.param(name, *p.values, id=p.id) for name in SCRIPTS for p in _documented(name)]
)
def test_every_documented_call_of_a_script_is_right(script: str, words: list[str]) -> None:
    given = legacy.parse(SCRIPTS[script](), words)
    assert given.model_type in FAMILIES
    assert (ROOT / script).is_file()
    assert not str(given.data_file).startswith("examples") or (ROOT / given.data_file).is_file()


def test_both_scripts_are_documented() -> None:
    assert all(_documented(name) for name in SCRIPTS)


def test_commands_are_documented_at_all() -> None:
    called = {_parse(p.values[0])[0] for p in _documented("medicalgpt") if p.values[0] != ["--version"]}
    groups = {
        "train",
        "chat",
        "generate",
        "estimate",
        "pipeline run",
        "data inspect",
        "config explain",
        "models pull",
        "serve",
    }
    assert {f"medicalgpt {name}" for name in groups} <= called


@pytest.mark.parametrize("words", _documented("make"))
def test_every_documented_make_target_exists(words: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {word for word in words if "=" not in word} <= set(targets)


# -- what runs where ----------------------------------------------------------------------------------------------------
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
COMING = {"tests/unit/test_seams.py"}  # goes from here as soon as it is there


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _recipe(target: str) -> list[str]:
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").partition(f"\n{target}:")[2].splitlines()[1:]
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in takewhile(lambda x: x.startswith("\t"), lines)]


def test_pre_commit_runs_what_make_check_runs() -> None:
    (repository,) = _yaml(ROOT / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    assert [hook["entry"] for hook in repository["hooks"]] == _recipe("check") != []


@pytest.mark.parametrize("path", [*WORKFLOWS, ROOT / ".ci" / "run"], ids=lambda p: p.name)
def test_what_ci_calls_exists(path: Path) -> None:
    jobs = list(_yaml(path)["jobs"].values()) if path in WORKFLOWS else []
    steps = [step for job in jobs for step in (job, *job.get("steps", []))]
    calls = "\n".join(step.get("run", "") for step in steps) if steps else path.read_text(encoding="utf-8")
    targets = re.findall(r"^ *make ([a-z-]+)", calls, re.MULTILINE)
    assert targets
    assert [target for target in targets if not _recipe(target) and target != "setup"] == []
    files = {*re.findall(r"(?:tests|\.ci)/[\w./-]+", calls)} | {
        s["uses"] for s in steps if s.get("uses", "").startswith(".")
    }
    assert {f for f in files if not (ROOT / f).exists()} <= COMING


def test_there_are_workflows_for_tests_the_matrix_and_releases() -> None:
    assert {"test.yml", "matrix.yml", "release.yml"} <= {p.name for p in WORKFLOWS}


def test_the_matrix_asks_for_what_the_ranges_allow(tmp_path: Path) -> None:
    requirements = runpy.run_path(str(ROOT / ".ci" / "versions.py"))["requirements"]
    file = tmp_path / "pyproject.toml"
    file.write_text(
        '[project]\ndependencies = ["peft>=0.21", "torch>=2.13,<2.16", "rich", "transformers!=5.24,>=5.23"]'
    )
    assert requirements("oldest", file) == ["torch==2.13", "transformers==5.23", "peft==0.21"]
    assert requirements("newest", file) == ["torch<2.16,>=2.13", "transformers!=5.24,>=5.23", "peft>=0.21"]
    with pytest.raises(ValueError, match="oldest or newest, not 'locked'"):
        requirements("locked", file)
    file.write_text('[project]\ndependencies = ["torch<3", "transformers>=5", "peft>=0.21"]')
    with pytest.raises(ValueError, match="torch has no lower bound"):
        requirements("oldest", file)
    assert len(requirements("oldest", ROOT / "pyproject.toml")) == 3


def test_the_version_is_the_same_wherever_it_stands() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == _yaml(ROOT / "CITATION.cff")["version"] == medicalgpt.__version__


def test_the_changelog_has_a_place_for_what_comes() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


# -- sample data --------------------------------------------------------------------------------------------------------
def _rows(folder: str, kind: str) -> list:
    return list(read([DATA / folder], kind, ledger=Ledger()))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", KINDS)
def test_sample_data_is_enough_and_held_out_rows_are_new(name: str) -> None:
    train, held = _rows(name, KINDS[name]), _rows(f"{name}-heldout", KINDS[name])
    assert not {group_key(r) for r in train} & {group_key(r) for r in held}
    assert len(train) >= {"documents": 30, "dialogues": 240, "preferences": 120, "choices": 90}[name]
    assert len(held) >= {"documents": 6, "dialogues": 40, "preferences": 40, "choices": 40}[name]
    if name == "documents":
        assert sum(len(r.text.encode()) for r in train) >= 60_000


def test_every_letter_is_right_equally_often_and_can_be_compared_with() -> None:
    for file in (
        DATA / name / f"{language}.jsonl" for name in ("choices", "choices-heldout") for language in LANGUAGES
    ):
        rows = [json.loads(line)["messages"] for line in file.read_text(encoding="utf-8").splitlines()]
        letters = Counter(answer["content"] for _, answer in rows)
        assert set(letters) == {"A", "B", "C"}
        assert len(set(letters.values())) == 1, "always the same letter would be better than a third"
        assert all(choice_letters(letter) == {letter} for letter in letters)
        assert len({question["content"] for question, _ in rows}) == len(rows)


def test_every_reading_stands_in_its_note_and_held_out_notes_are_new() -> None:
    notes: dict[str, set[str]] = {}
    for name in ("readings", "readings-heldout"):
        rows = [json.loads(line)["messages"] for line in (DATA / name / "en.jsonl").open(encoding="utf-8")]
        for question, answer in rows:
            note, asked = question["content"].split("\n\n")
            assert contains_text(note, answer["content"]), note
            assert asked.endswith("Answer with the value only.")
        notes[name] = {question["content"].split("\n\n")[0] for question, _ in rows}
        assert len(notes[name]) == len(rows)
    assert not notes["readings"] & notes["readings-heldout"]


def test_every_sample_language_has_all_its_sets() -> None:
    for language in LANGUAGES:
        for name, kind in KINDS.items():
            for folder in (name, f"{name}-heldout"):
                (path,) = (DATA / folder).glob(f"{language}*")
                assert next(read([path], kind, ledger=Ledger())), path  # type: ignore[arg-type]


def test_the_readme_of_the_sample_data_counts_right() -> None:
    said = (DATA / "README.md").read_text(encoding="utf-8")
    folders = re.findall(r"`([\w/-]+)/`: (\d+) files, ([\d,]+) bytes", said)
    files = re.findall(r"`([\w/-]+\.jsonl)`: (\d+) rows", said)
    assert len(folders) == 6
    assert len(files) >= 20
    for name, count, size in folders:
        found = [file.stat().st_size for file in (DATA / name).glob("*.md")]
        assert (name, len(found), f"{sum(found):,}") == (name, int(count), size)
    for name, count in files:
        assert (name, len((DATA / name).read_text(encoding="utf-8").splitlines())) == (name, int(count))


def test_rejected_answers_are_not_given_away_by_their_length() -> None:
    longer = [len(r.rejected[-1].content) > len(r.chosen[-1].content) for r in _rows("preferences", "preference")]
    assert 0.4 < sum(longer) / len(longer) < 0.6


def test_the_readmes_have_the_same_sections_and_the_two_commands() -> None:
    texts = [(ROOT / n).read_text(encoding="utf-8") for n in ("README.md", "README.zh-CN.md", "README.zh-TW.md")]
    assert len({sum(line.startswith("## ") for line in t.splitlines()) for t in texts}) == 1
    assert all("make demo" in t and "make test" in t for t in texts)


def test_the_manifest_of_sample_flaws_is_complete() -> None:
    flaws = {
        json.loads(line)["flaw"]
        for line in (DATA / "preferences" / "en.jsonl").read_text(encoding="utf-8").splitlines()
    }
    assert {"unsafe_dosage", "missed_red_flag", "invented_fact", "unhelpful_refusal"} <= flaws
