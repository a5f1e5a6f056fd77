"""Renamed keys: the old name still works wherever it stands, and says what to write instead."""

import warnings
from pathlib import Path

import pytest

from medicalgpt.config.explain import explain
from medicalgpt.config.loader import dump, load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.renamed import RENAMED, first_names
from medicalgpt.config.sections import Section
from medicalgpt.config.stages import STAGES, RmConfig
from medicalgpt.errors import ConfigError

REQUIRED = ["data.train=[a.jsonl]", "output_dir=runs/x"]
VALUES = {
    "objective.length_normalised": ("dpo", [], "true", True),
    "objective.centre": ("rm", [], "0.25", 0.25),
    "reward.normalise": ("grpo", ["reward.model=runs/rm"], "false", False),
    "objective.reduce": ("grpo", ["reward.model=runs/rm"], "dapo", "dapo"),
}


def get(value: object, key: str) -> object:
    for word in key.split("."):
        value = getattr(value, word)
    return value


def test_every_renamed_key_is_tested_here() -> None:
    assert VALUES.keys() == RENAMED.keys()


@pytest.mark.parametrize("old", RENAMED)
def test_an_override_by_the_old_name(old: str) -> None:
    stage, more, text, wanted = VALUES[old]
    with pytest.warns(
        FutureWarning, match=rf"override '{old}={text}': {old} was renamed; write {RENAMED[old]}"
    ) as said:
        resolved = load(stage_schema(stage), None, [*REQUIRED, *more, f"{old}={text}"])
    assert len(said) == 1
    assert get(resolved.value, RENAMED[old]) == wanted
    assert resolved.origin[RENAMED[old]] == "override"


@pytest.mark.parametrize("old", RENAMED)
def test_a_resolved_config_of_an_old_run(old: str, tmp_path: Path) -> None:
    stage, more, text, wanted = VALUES[old]
    now = dump(load(stage_schema(stage), None, [*REQUIRED, *more, f"{RENAMED[old]}={text}"]))
    name, word = (key.rpartition(".")[2] for key in (old, RENAMED[old]))
    file = tmp_path / "config.yaml"
    file.write_text(now.replace(f"  {word}: ", f"  {name}: "), encoding="utf-8")
    rows = file.read_text(encoding="utf-8").splitlines()
    begun = rows.index(f"{old.partition('.')[0]}:")  # other sections may have a key of this name
    line = next(i for i, row in enumerate(rows[begun:], begun + 1) if f"  {name}: " in row)
    with pytest.warns(FutureWarning, match=f"{file}:{line}: {old} was renamed"):
        resolved = load(stage_schema(stage), file)
    assert get(resolved.value, RENAMED[old]) == wanted
    assert resolved.origin[RENAMED[old]] == f"{file}:{line}"


def test_a_new_name_over_an_old_one_wins(tmp_path: Path) -> None:
    file = tmp_path / "rm.yaml"
    file.write_text("objective: {centre: 0.5}\n", encoding="utf-8")
    with pytest.warns(FutureWarning):
        assert load(RmConfig, file, [*REQUIRED, "objective.center=0.1"]).value.objective.center == 0.1


def test_both_names_in_one_place_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "rm.yaml"
    file.write_text("objective:\n  centre: 0.5\n  center: 0.1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"rm.yaml:2: objective.centre is the old name of objective.center"):
        load(RmConfig, file, REQUIRED)


def test_a_wrong_value_under_the_old_name_is_reported_at_its_place(tmp_path: Path) -> None:
    file = tmp_path / "rm.yaml"
    file.write_text("objective:\n  centre: -1\n", encoding="utf-8")
    with pytest.warns(FutureWarning), pytest.raises(ConfigError, match=r"rm.yaml:2: objective.center is -1; allowed"):
        load(RmConfig, file, REQUIRED)


def test_other_schemas_keep_their_own_words() -> None:
    class Objective(Section):
        centre: float = 0.0

    class Mine(Section):
        objective: Objective = Objective()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(Mine, None, ["objective.centre=2"]).value.objective.centre == 2.0
    with pytest.raises(ConfigError, match=r"unknown key 'objective\.centre'"):
        load(STAGES["pt"], None, [*REQUIRED, "objective.centre=2"])


def test_explain_shows_new_names_only() -> None:
    keys = {row.key for schema in STAGES.values() for row in explain(schema)}
    assert set(RENAMED.values()) <= keys
    assert not keys & set(RENAMED)


def test_hashes_are_taken_under_first_names() -> None:
    values = {"objective": {"margin": 0.0, "center": 0.5}, "reward": {"normalize": True}, "data": {"center": 1}}
    assert first_names(values) == {
        "objective": {"margin": 0.0, "centre": 0.5},
        "reward": {"normalise": True},
        "data": {"center": 1},
    }
    assert values["objective"] == {"margin": 0.0, "center": 0.5}


@pytest.mark.parametrize(("old", "new"), [("token", "bnpo"), ("answer", "grpo")])
def test_a_value_that_was_renamed_with_its_key(old: str, new: str, tmp_path: Path) -> None:
    file, more = tmp_path / "grpo.yaml", [*REQUIRED, "reward.model=runs/rm"]
    file.write_text(f"objective: {{reduce: {old}}}\n", encoding="utf-8")
    with pytest.warns(FutureWarning, match=f"objective.reduce was renamed; write objective.loss_type={new}"):
        found = load(stage_schema("grpo"), file, more).value
    assert get(found, "objective.loss_type") == new
    # An old run's key holds: the name and the value that it was written with.
    hashed = first_names(found.model_dump(mode="json"))["objective"]
    assert hashed["reduce"] == old
    assert "loss_type" not in hashed


def test_a_wrong_old_value_is_refused_under_the_new_name(tmp_path: Path) -> None:
    with pytest.warns(FutureWarning), pytest.raises(ConfigError, match=r'objective.loss_type is "word"'):
        load(stage_schema("grpo"), None, [*REQUIRED, "reward.model=runs/rm", "objective.reduce=word"])
