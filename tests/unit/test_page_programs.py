"""Commands of pages that are none of ours: their scripts, modules, options, files, extras and addresses exist."""

import re
import shlex
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.unit.test_house import ROOT, _bash_lines

from medicalgpt.cli import legacy, legacy_demo
from medicalgpt.serve.api.gateway import KNOWN

PAGES = [*ROOT.glob("*.md"), *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("examples/**/*.md"))]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
# Scripts whose options the package has.
PARSED_BY = {
    "inference.py": legacy.inference_parser,
    "inference_multigpu_demo.py": legacy.multigpu_parser,
    "gradio_demo.py": legacy_demo._parser,
}


def _wrong(line: str) -> str | None:
    """What a command names that is not there."""
    words = shlex.split(line, comments=True)
    for at, word in enumerate(words):
        if Path(word).name in ("python", "python3") and (found := _script(words[at + 1 :])):
            return found
    for extras in re.findall(r"medicalgpt\[([\w,-]+)\]", line):
        if lost := set(extras.split(",")) - set(EXTRAS):
            return f"no extra {', '.join(sorted(lost))}"
    if words[:1] == ["docker"] and "-f" in words and not (ROOT / words[words.index("-f") + 1]).is_file():
        return f"no file {words[words.index('-f') + 1]}"
    paths = re.findall(r"http://127\.0\.0\.1:\d+(/\w[\w/]*)", line) if "curl" in words else []
    return next((f"no {path} in the API" for path in paths if path not in KNOWN), None)


def _script(words: list[str]) -> str | None:
    """What is wrong with the words behind `python`."""
    if words[:1] == ["-m"]:
        return None if find_spec(words[1]) else f"no module {words[1]}"
    if not words or not words[0].endswith(".py"):
        return None
    if not (ROOT / words[0]).is_file():
        return f"no script {words[0]}"
    file = ROOT / words[0]
    known = PARSED_BY[words[0]]().format_help() if words[0] in PARSED_BY else file.read_text(encoding="utf-8")
    options = [word.partition("=")[0] for word in words[1:] if word.startswith("--")]
    missing = [option for option in options if not re.search(rf"{option}(?![\w-])", known)]
    return f"{words[0]} has no {', '.join(missing)}" if missing else None


def test_what_the_commands_of_pages_name_is_there() -> None:
    lines = [(page.name, line) for page in PAGES for line in _bash_lines(page.read_text(encoding="utf-8"))]
    assert len(lines) > 500
    assert [f"{name}: {line}: {wrong}" for name, line in lines if (wrong := _wrong(line))] == []


@pytest.mark.parametrize(
    "line",
    [
        "python benchmarks/gone.py --out gpu",
        "python benchmarks/gpu_check.py --outt gpu",
        ".venv/bin/python -m medicalgpt.gone",
        "pip install 'medicalgpt[serve,structurd]'",
        "docker build -f docker/tpu.Dockerfile .",
        "curl -s http://127.0.0.1:8000/v1/chat/completion -d '{}'",
    ],
)
def test_what_is_not_there_is_found(line: str) -> None:
    assert _wrong(line)
