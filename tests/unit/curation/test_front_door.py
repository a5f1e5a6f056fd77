"""`data scan`, `data curate`, `medicalgpt.curate`, and `curate` in the config of a pipeline."""

from pathlib import Path

import pytest
from tests.curating import MAIL, PHONE, qa, rows_in, write
from typer.testing import CliRunner

import medicalgpt
from medicalgpt.cli import app
from medicalgpt.config.curation import CurateConfig
from medicalgpt.config.loader import load
from medicalgpt.config.lookup import schema_of
from medicalgpt.config.overrides import override_words
from medicalgpt.config.pipeline import PipelineConfig
from medicalgpt.errors import ConfigError, RunError

PATTERNS = "--detectors=patterns"


def run(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(map(str, words)))
    return done.exit_code, done.output


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    return write(tmp_path / "clean.jsonl", [*(qa(n) for n in range(5)), qa(0)])


def test_a_scan_counts_and_keeps_nothing(clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    code, said = run("data", "scan", clean, PATTERNS, "--workers", 1)
    assert code == 0, said
    assert "6 rows: 5 kept, 1 dropped" in said
    assert "personal data: in 0 rows" in said
    assert list(temporary.iterdir()) == []


def test_a_scan_that_finds_personal_data_ends_with_1_and_quotes_none(clean: Path, tmp_path: Path) -> None:
    dirty = write(tmp_path / "dirty.jsonl", [qa(7, f"电话{PHONE}，邮箱：{MAIL}"), {"question": "坏的一行，没有回答"}])
    code, said = run("data", "scan", clean, dirty, PATTERNS, "--workers", 1)
    assert code == 1, said
    assert "personal data: in 1 rows: email 1, phone 1" in said
    assert PHONE not in said
    assert MAIL not in said
    assert "8 rows: 6 kept, 2 dropped" in said


def test_a_scan_looks_for_items_of_tests(tmp_path: Path) -> None:
    row = "A fracture of which bone most often injures the radial nerve?"
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "ward.csv").write_text(f"question,A,B,answer\n{row},humerus,ulna,A\n", encoding="utf-8")
    (tests / "ward.test.yaml").write_text(
        "{name: ward, title: Ward, license: own, origin: here, language: en, group: ward, files: [{path: ward.csv}]}",
        encoding="utf-8",
    )
    file = write(tmp_path / "rows.jsonl", [qa(1), {"question": row, "answer": "It is the humerus, near the groove."}])
    code, said = run("data", "scan", file, PATTERNS, "--workers", 1, "--suite", "ward", "--tests", tests)
    assert code == 0, said
    assert "test ward: 1 of 1 items found (1 word for word) in 1 rows (files 1); 1 in the corpus" in said


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["no-such-file.jsonl"], "no such file or folder"),
        (["{clean}", "--detectors", "patern"], "detectors came as 'patern'"),
        (["{clean}", "--column", "questoin=ask"], "questoin"),
        (["{clean}", "--column", "question=ask"], "no file has these columns (question: ask)"),
        (["{clean}", "--encoding", "gb"], "gb"),
    ],
)
def test_what_a_scan_cannot_read_is_said(words: list[str], problem: str, clean: Path) -> None:
    code, said = run(
        "data", "scan", *(word.format(clean=clean) for word in [*words[:1], PATTERNS, *words[1:]]), "--workers", 1
    )
    assert code == 2, said
    assert problem in said


def test_a_corpus_by_command_and_from_python(clean: Path, tmp_path: Path) -> None:
    config = tmp_path / "curate.yaml"
    config.write_text(f"sources: {{qa: {{paths: [{clean}]}}}}\npersonal_data: {{detectors: [patterns]}}\n", "utf-8")
    code, said = run("data", "curate", "--config", config, f"output_dir={tmp_path / 'a'}", "scale.workers=1")
    assert code == 0, said
    assert said.endswith(f"finished: {tmp_path / 'a'}\n")
    corpus = medicalgpt.curate(config=config, output_dir=tmp_path / "b", overrides={"scale.workers": 1})
    assert rows_in(corpus.train) == rows_in(tmp_path / "a" / "train")
    assert corpus.report["kept"] == 5
    assert corpus.held_out is None
    assert corpus.manifest.stage == "curate"
    assert repr(medicalgpt.Corpus(tmp_path / "a")) == f"Corpus('{tmp_path / 'a'}')"
    given = override_words({"data.train": [corpus]})
    assert given == [f'data.train=["{corpus.train}"]']


def test_a_folder_without_a_corpus_is_none(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="this is not a finished run"):
        medicalgpt.Corpus(tmp_path)


def test_a_config_of_python_is_the_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sources"):
        medicalgpt.curate(output_dir=tmp_path / "out")
    assert schema_of("curate") is CurateConfig
    code, said = run("config", "explain", "curate", "--filter", "jaccard")
    assert code == 0
    assert "duplicates.question_jaccard" in said


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("stages: [{name: corpus, stage: curate}]", "no stage trains a model"),
        ("stages: [{name: corpus, stage: curat}]", "did you mean 'curate'"),
        (
            "stages: [{name: c, stage: curate}, {name: s, stage: sft}]\ngates: [{number: certificate, stage: c}]",
            "a gate names the stage 'c', which is none of s",
        ),
    ],
)
def test_pipelines_that_make_no_sense(text: str, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(f"output_dir: {tmp_path}/runs\n{text}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=problem):
        load(PipelineConfig, file)
