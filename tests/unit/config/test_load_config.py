"""Layers, origins and values: schema default < extends < file < override."""

from pathlib import Path
from typing import Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field
from tests.stages import NEEDED

from medicalgpt.config.loader import dump, load
from medicalgpt.config.stages import STAGES, DpoConfig, SftConfig
from medicalgpt.errors import ConfigError

REQUIRED = ["data.train=[a.jsonl]", "output_dir=runs/x"]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    size: float = 1.0
    name: str | None = None


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    part: Part = Part(size=2.0)
    maybe: Part | None = None
    words: dict[str, str] = Field(default_factory=dict)
    paths: list[Path] = Field(default_factory=lambda: [Path("p")])
    mode: Literal["a", "b"] = "a"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_each_layer_wins_over_the_one_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "base.yaml", "train:\n  seed: 1\n  epochs: 2\n  max_steps: 3\n")
    write(
        tmp_path / "sft.yaml",
        "extends: base.yaml\ndata:\n  train: [a]\noutput_dir: o\ntrain:\n  epochs: 5\n",
    )
    resolved = load(SftConfig, "sft.yaml", ["train.max_steps=7"])
    train = resolved.value.train
    assert (train.log_every, train.seed, train.epochs, train.max_steps) == (1, 1, 5.0, 7)
    assert resolved.origin["train.log_every"] == "default"
    assert resolved.origin["train.seed"] == "base.yaml:2"
    assert resolved.origin["train.epochs"] == "sft.yaml:6"
    assert resolved.origin["train.max_steps"] == "override"
    assert resolved.origin["data.train"] == "sft.yaml:3"


def test_a_stage_default_inside_a_section_holds_when_the_file_sets_another_key(tmp_path: Path) -> None:
    file = write(tmp_path / "dpo.yaml", "data: {train: [a]}\noutput_dir: o\ntrain:\n  seed: 3\n")
    resolved = load(DpoConfig, file, [])
    assert resolved.value.train.seed == 3
    assert resolved.value.train.learning_rate == 2e-5
    assert resolved.origin["train.learning_rate"] == "default"


def test_an_empty_section_changes_nothing(tmp_path: Path) -> None:
    assert load(DpoConfig, None, [*REQUIRED, "train={}"]).value == load(DpoConfig, None, REQUIRED).value


def test_exponents_without_a_dot_are_numbers_in_files_and_overrides(tmp_path: Path) -> None:
    file = write(tmp_path / "c.yaml", "part: {size: 2e-4}\n")
    assert load(Whole, file, []).value.part.size == 2e-4
    assert load(Whole, None, ["part.size=3E5"]).value.part.size == 3e5


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("data.train=[a.jsonl,b/]", ["a.jsonl", "b/"]),
        ("data.train=a.jsonl", ["a.jsonl"]),
        ("data.train=['x, y', z]", ["x, y", "z"]),
    ],
)
def test_override_lists(override: str, expected: list[str]) -> None:
    assert load(SftConfig, None, ["output_dir=o", override]).value.data.train == expected


def test_override_scalars() -> None:
    words = ["data.system=a = b", "train.max_steps=null", "lora.enabled=false", "output_dir='007'", "train.seed=010"]
    value = load(SftConfig, None, ["data.train=[a]", *words]).value
    assert value.data.system == "a = b"
    assert value.train.max_steps is None
    assert value.lora.enabled is False
    assert value.output_dir == "007"
    assert value.train.seed == 10


def test_dotted_overrides_build_mappings_and_the_last_one_wins() -> None:
    resolved = load(Whole, None, ["words.question=提问", "words={answer: 回答}", "part.size=1", "part.size=3"])
    assert resolved.value.words == {"question": "提问", "answer": "回答"}
    assert resolved.value.part.size == 3.0
    assert resolved.origin["words.answer"] == "override"


def test_an_optional_section_can_be_filled_and_emptied_again(tmp_path: Path) -> None:
    file = write(tmp_path / "c.yaml", "maybe:\n  size: 4\n")
    filled = load(Whole, file, [])
    assert filled.value.maybe == Part(size=4.0)
    assert filled.origin["maybe.name"] == "default"
    assert load(Whole, file, ["maybe=null"]).value.maybe is None


def test_a_shorter_list_replaces_a_longer_one_with_its_lines(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "paths:\n- a\n- b\n- c\n")
    file = write(tmp_path / "c.yaml", "extends: base.yaml\npaths: [z]\n")
    resolved = load(Whole, file, [])
    assert resolved.value.paths == [Path("z")]
    assert resolved.origin["paths"].endswith("c.yaml:2")


def test_paths_stay_as_written_and_extends_is_relative_to_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "base" / "b.yaml", "paths: [data/x.jsonl]\n")
    write(tmp_path / "deep" / "er" / "c.yaml", "extends: ../../base/b.yaml\n")
    resolved = load(Whole, "deep/er/c.yaml", [])
    assert resolved.value.paths == [Path("data/x.jsonl")]
    assert resolved.origin["paths"] == "base/b.yaml:1"


def test_extends_chains_and_lists_and_a_shared_base_counts_once(tmp_path: Path) -> None:
    """d is below b and c: what b changes in d must survive c, which extends d again."""
    write(tmp_path / "d.yaml", "part: {size: 10, name: d}\nmode: b\n")
    write(tmp_path / "b.yaml", "extends: d.yaml\npart: {size: 20}\n")
    write(tmp_path / "c.yaml", "extends: [d.yaml]\npart: {name: c}\n")
    file = write(tmp_path / "a.yaml", "extends:\n- b.yaml\n- c.yaml\n")
    value = load(Whole, file, []).value
    assert value.part == Part(size=20.0, name="c")
    assert value.mode == "b"


def test_yaml_anchors_and_merge_keys_work(tmp_path: Path) -> None:
    file = write(tmp_path / "c.yaml", "part: &p {size: 5, name: x}\nmaybe:\n  <<: *p\n  name: y\n")
    value = load(Whole, file, []).value
    assert value.part == Part(size=5.0, name="x")
    assert value.maybe == Part(size=5.0, name="y")


@pytest.mark.parametrize("stage", STAGES)
def test_dump_names_each_origin_and_loads_back_equal(stage: str, tmp_path: Path) -> None:
    extra = ["data.columns={question: 提问, 'a: b': 'no'}", 'data.system="two\\nlines # no comment"', "train.seed=9"]
    first = load(STAGES[stage], None, [*REQUIRED, *NEEDED.get(stage, []), *extra, "lora.target_modules=[q_proj]"])
    text = dump(first)
    assert "  seed: 9  # override\n" in text
    assert "  rank: 8  # default\n" in text
    assert len([line for line in text.splitlines() if "  # " in line]) >= len(first.origin)
    again = load(STAGES[stage], write(tmp_path / "resolved.yaml", text), [])
    assert again.value == first.value
    assert set(again.origin) == set(first.origin)
    assert yaml.safe_load(text) == first.value.model_dump(mode="json")  # other YAML 1.1 readers agree


def test_the_result_cannot_be_changed_and_defaults_are_not_shared() -> None:
    first, second = load(SftConfig, None, REQUIRED), load(SftConfig, None, REQUIRED)
    assert first.value.data.eval is not second.value.data.eval
    with pytest.raises(ValueError, match="frozen"):
        first.value.train.seed = 1


def test_a_config_with_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes("\ufeffmode: b\r\npart:\r\n  size: 2\r\n".encode())
    resolved = load(Whole, path, [])
    assert resolved.value.mode == "b"
    assert resolved.origin["part.size"].endswith("c.yaml:3")


def test_overrides_alone_name_what_is_missing() -> None:
    with pytest.raises(ConfigError) as caught:
        load(SftConfig, None, [])
    lines = str(caught.value).splitlines()
    assert [line.split(" is required")[0] for line in lines] == ["data.train", "output_dir"]
