"""One table of names: the page of the documentation is made from it, and TRL's words are TRL's."""

import ast
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from medicalgpt.config.explain import explain
from medicalgpt.config.foreign import FOREIGN
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.stages import STAGES
from medicalgpt.language import ENV
from medicalgpt.migrate.tools import SAME, WORDS, names_table

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_every_word_of_a_tool_has_one_meaning_here() -> None:
    keys = {row.key for stage in STAGES for row in explain(stage_schema(stage))}
    assert set(SAME.values()) <= keys
    for tool, words in WORDS.items():
        assert [word for word in sorted(words) if (word in FOREIGN) == (word in SAME)] == [], tool


@pytest.mark.parametrize(
    ("page", "language"), [("from-other-toolkits.md", "en"), ("zh-CN/from-other-toolkits.md", "zh-CN")]
)
def test_the_page_shows_the_table(page: str, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made anew by: MEDICALGPT_LANG=zh-CN python -c 'from medicalgpt.migrate.tools import names_table; print(names_table())'"""
    monkeypatch.setenv(ENV, language)
    (shown,) = re.findall(
        r"<!-- names -->\n(.*?)\n<!-- /names -->", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL
    )
    assert shown == names_table()


def test_trl_has_the_words_that_are_called_its() -> None:
    spec, trainer = find_spec("trl"), find_spec("transformers")
    if spec is None or spec.origin is None or trainer is None or trainer.origin is None:
        pytest.skip("TRL is not installed")
    root = Path(spec.origin).parent
    files = [*root.glob("trainer/*_config.py"), *root.glob("trainer/base_config.py"), root / "scripts/utils.py"]
    files += [*root.glob("experimental/*/*_config.py"), *root.glob("scripts/*.py"), *root.glob("trainer/*_trainer.py")]
    files.append(Path(trainer.origin).parent / "training_args.py")
    fields = {
        line.target.id
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        for line in node.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    }
    gone = {"overwrite_output_dir", "evaluation_strategy", "logging_dir", "group_by_length", "warmup_ratio", "fp16"}
    assert sorted(WORDS["TRL"] - fields - gone) == []  # `gone`: of versions before, which stand in people's scripts
