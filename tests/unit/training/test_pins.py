"""Every model of a hub that a stage reads is pinned to one commit, which its folder keeps; against stand-ins of both hubs."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.hubs import Hubs, online
from tests.stages import dialogues, preferences, write
from tests.tiny import NO_WEIGHTS

from medicalgpt.config.base import StageConfig
from medicalgpt.config.loader import dump, load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.errors import ConfigError, ModelError
from medicalgpt.models.adapter_config import down_to_base
from medicalgpt.models.locate import locate
from medicalgpt.training.others import other_addresses, other_hashes
from medicalgpt.training.pins import pin

ROLES = {
    "adapter": ("sft", "model.adapter", "model.adapter_commit", []),
    "reference": ("dpo", "objective.reference_model", "objective.reference_commit", ["objective.reference=model"]),
    "teacher": ("distill", "objective.teacher", "objective.teacher_commit", []),
    "reward": ("ppo", "reward.model", "reward.model_commit", []),
}
MODEL = {"config.json": b'{"model_type": "llama"}', "model.safetensors": NO_WEIGHTS}
OF_ROLES = pytest.mark.parametrize("role", ROLES)


@pytest.fixture
def hubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "dpo.jsonl", preferences(4))
    write(tmp_path / "rows.jsonl", dialogues(4))
    found = Hubs()
    with online(found.handler(), tmp_path, monkeypatch):
        yield found


def asked(role: str, name: str, *words: str, base: str = "org/base") -> Any:
    stage, key, _, needed = ROLES[role]
    data = "dpo.jsonl" if stage == "dpo" else "rows.jsonl"
    given = [f"model.base={base}", f"data.train=[{data}]", "output_dir=run", f"{key}={name}", *needed, *words]
    return load(stage_schema(stage), None, given)


def commits(config: StageConfig) -> dict[str, str | None]:
    return {one.role: one.commit for one in (config.base_model, *config.adapter_model, *config.other_models)}


@OF_ROLES
@pytest.mark.parametrize("hub", ["hf", "ms"])
def test_the_other_model_is_pinned_as_the_base_is(
    role: str, hub: str, hubs: Hubs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, other = hubs.commit("org/base", MODEL), hubs.commit("org/other", MODEL)
    name = f"{hub}://org/other"
    pinned, said = pin(asked(role, name))
    assert said == []
    assert commits(pinned.value) == {"base": base, role: other}
    assert f"{ROLES[role][2].rpartition('.')[2]}: {other}" in dump(pinned)
    assert other_addresses(pinned.value) == {role: f"{name}@{other}"}
    first = other_hashes(pinned.value)
    assert other_hashes(asked(role, f"{name}@{other}").value) == first
    # The branch moves, and then there is no network: the run goes on with what it began with, another begins with the new.
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.resolved.yaml").write_text(dump(pinned), encoding="utf-8")
    newer = hubs.commit("org/other", {**MODEL, "more.txt": b"newer"})
    fresh, _ = pin(asked(role, name, "output_dir=new"))
    assert commits(fresh.value) == {"base": base, role: newer}
    assert other_hashes(fresh.value) != first
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    again, said = pin(asked(role, name))
    assert commits(again.value) == {"base": base, role: other}
    key = ROLES[role][1]
    assert f"{key} {name}: read at commit {other}, as when this run began" in "\n".join(said)
    assert other_hashes(again.value) == first


@OF_ROLES
def test_another_name_is_another_model(role: str, hubs: Hubs, tmp_path: Path) -> None:
    hubs.commit("org/base", MODEL)
    hubs.commit("org/other", MODEL, "main")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.resolved.yaml").write_text(dump(pin(asked(role, "org/other"))[0]), encoding="utf-8")
    branch = hubs.commit("org/other", {**MODEL, "more.txt": b"x"}, "v2")
    pinned, said = pin(asked(role, "org/other@v2"))
    assert commits(pinned.value)[role] == branch
    assert not any("org/other" in line for line in said)


@OF_ROLES
def test_what_is_named_by_a_commit_or_lies_here_is_left_as_it_is(role: str, hubs: Hubs, tmp_path: Path) -> None:
    commit = hubs.commit("org/other", MODEL)
    (tmp_path / "local").mkdir()
    for name, content in MODEL.items():
        (tmp_path / "local" / name).write_bytes(content)
    here = asked(role, "local", base="local")
    assert pin(here) == (here, [])
    given = asked(role, "org/other", f"{ROLES[role][2]}={commit}", base="local")
    assert pin(given) == (given, [])
    assert other_addresses(given.value) == {role: f"hf://org/other@{commit}"}


@OF_ROLES
def test_what_is_no_commit_and_what_is_not_there_is_said(role: str, hubs: Hubs) -> None:
    hubs.commit("org/base", MODEL)
    with pytest.raises(ConfigError, match="40 hexadecimal digits; for a branch or tag write owner/name@branch"):
        asked(role, "org/other", f"{ROLES[role][2]}=main")
    with pytest.raises(ModelError, match="org/gone"):
        pin(asked(role, "org/gone"))


def test_a_commit_without_its_model_is_refused() -> None:
    commit = "a" * 40
    with pytest.raises(ConfigError, match="set both or none"):
        asked("adapter", "null", f"model.adapter_commit={commit}")
    with pytest.raises(ConfigError, match="set both or none"):
        asked("reference", "null", f"objective.reference_commit={commit}")
    with pytest.raises(ConfigError, match="set both or none"):
        asked("reward", "null", "reward.functions=[{name: length, target: 9}]", f"reward.model_commit={commit}")


def test_the_commit_of_the_base_is_none_of_the_others(hubs: Hubs) -> None:
    """The reference and the teacher took the base's commit, which their repositories do not have."""
    from medicalgpt.training import reference

    hubs.commit("org/base", MODEL)
    other = hubs.commit("org/other", {**MODEL, "more.txt": b"x"})
    config = pin(asked("reference", "org/other"))[0].value
    seen: list[Any] = []

    def open_reference(model: Any, *rest: Any) -> Any:
        seen.append(model)

    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(reference, "open_reference", open_reference)
        reference.load_reference(config, config.reference_choice, "padded")
    assert (seen[0].base, seen[0].at) == ("org/other", other)


def on(base: str, **more: str) -> dict[str, bytes]:
    """An adapter that says what it stands on."""
    config = {"peft_type": "LORA", "base_model_name_or_path": base, **more}
    return {"adapter_config.json": json.dumps(config).encode(), "adapter_model.safetensors": NO_WEIGHTS}


BELOW = pytest.mark.parametrize(
    "role", ["base", "reference", "teacher", "reward"]
)  # the adapter given as model.adapter stands on model.base, whatever it says itself


def standing(role: str, name: str, *words: str) -> Any:
    """A run in which a model of that role has this name."""
    return asked("adapter", "null", *words, base=name) if role == "base" else asked(role, name, *words)


@BELOW
@pytest.mark.parametrize("hub", ["hf", "ms"])
def test_the_base_that_an_adapter_of_a_hub_names_is_pinned_with_it(
    role: str, hub: str, hubs: Hubs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = f"{hub}://org/below"
    hubs.commit("org/base", MODEL)
    below, adapter = hubs.commit("org/below", MODEL), hubs.commit("org/other", on(named))
    pinned, said = pin(standing(role, "org/other"))
    assert said == []
    assert commits(pinned.value)[role] == adapter
    assert pinned.value.model.below == {named: below}
    assert other_addresses(pinned.value)[named] == f"{named}@{below}"
    first = other_hashes(pinned.value)
    # The branch moves, and then there is no network: the run goes on with what it began with, another begins with the new.
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.resolved.yaml").write_text(dump(pinned), encoding="utf-8")
    newer = hubs.commit("org/below", {**MODEL, "more.txt": b"newer"})
    fresh, _ = pin(standing(role, "org/other", "output_dir=new"))
    assert fresh.value.model.below == {named: newer}
    assert other_hashes(fresh.value)[named] != first[named]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    again, said = pin(standing(role, "org/other"))
    assert again.value.model.below == {named: below}
    assert f"{named}: read at commit {below}, as when this run began" in "\n".join(said)
    assert other_hashes(again.value) == first


def test_the_pinned_base_is_the_one_that_is_read(hubs: Hubs) -> None:
    older = hubs.commit("org/below", MODEL)
    hubs.commit("org/other", on("org/below"))
    config = pin(asked("adapter", "null", base="org/other"))[0].value
    hubs.commit("org/below", {**MODEL, "more.txt": b"newer"})
    _, base = down_to_base(locate("org/other"), False, config.model.below.get)
    assert base.address == f"hf://org/below@{older}"
    assert down_to_base(locate("org/other"))[1].address != base.address


def test_a_base_that_is_named_with_its_commit_or_lies_here_needs_no_pin(hubs: Hubs, tmp_path: Path) -> None:
    commit = hubs.commit("org/below", MODEL)
    hubs.commit("org/other", on("org/below", revision=commit))
    assert pin(asked("adapter", "null", base="org/other"))[0].value.model.below == {}
    (tmp_path / "here").mkdir()
    (tmp_path / "adapter").mkdir()
    for folder, files in (("here", MODEL), ("adapter", on(str(tmp_path / "here")))):
        for name, content in files.items():
            (tmp_path / folder / name).write_bytes(content)
    local = asked("adapter", "null", base="adapter")
    assert pin(local) == (local, [])


def test_a_local_adapter_on_a_base_of_a_hub_is_pinned_below(hubs: Hubs, tmp_path: Path) -> None:
    commit = hubs.commit("org/below", MODEL)
    (tmp_path / "adapter").mkdir()
    for name, content in on("org/below", revision="main").items():
        (tmp_path / "adapter" / name).write_bytes(content)
    assert pin(asked("adapter", "null", base="adapter"))[0].value.model.below == {"hf://org/below@main": commit}


def test_a_pin_below_that_nothing_stands_on_is_refused(hubs: Hubs) -> None:
    hubs.commit("org/base", MODEL)
    given = asked("adapter", "null", "model.below={hf://org/gone: " + "a" * 40 + "}")
    with pytest.raises(ConfigError, match=r"model\.below names hf://org/gone, which no adapter of this run stands on"):
        pin(given)
    with pytest.raises(ConfigError, match="40 hexadecimal digits"):
        asked("adapter", "null", "model.below={hf://org/gone: main}")


def test_a_manifest_names_the_others_only_where_there_are_any(tmp_path: Path) -> None:
    from tests.run_folders import SHA, finished

    from medicalgpt.runs import manifest

    plain = json.loads((finished(tmp_path / "plain") / "manifest.json").read_text())
    assert "models" not in plain
    assert "models" not in plain["hashes"]
    hashes = {"data": SHA, "base": SHA, "code": SHA, "models": {"teacher": SHA}}
    run = finished(tmp_path / "taught", models={"teacher": "hf://org/other@" + "a" * 40}, hashes=hashes)
    record = manifest.read(run)
    assert record.models == {"teacher": "hf://org/other@" + "a" * 40}
    assert record.hashes.models == {"teacher": SHA}
