"""What is said about a wrong config: where, what came, what is allowed; everything at once."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, model_validator

from medicalgpt.config.loader import load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.pipeline import PipelineConfig
from medicalgpt.config.stages import DpoConfig, SftConfig
from medicalgpt.errors import ConfigError

GOOD = "data:\n  train: [a.jsonl]\noutput_dir: runs/x\n"  # three lines


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def messages(text: str | bytes, *overrides: str, schema: type[BaseModel] = SftConfig) -> list[str]:
    """The lines of the ConfigError that a file c.yaml with this text causes."""
    Path("c.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        load(schema, "c.yaml", overrides)
    return str(caught.value).splitlines()


def test_all_problems_come_at_once_one_line_each() -> None:
    text = "data:\n  train: [a.jsonl]\n  max_tokns: 5\ntrain:\n  seed: x\n  seed: -1\nlora: {rank: 0}\n"
    found = messages(text, "nonsense", "train.epochs=fast")
    assert found == [
        "c.yaml:6: key 'train.seed' is set twice, on lines 5 and 6; keep one",
        "override 'nonsense': expected key=value, for example train.max_steps=50",
        "c.yaml:7: lora.rank is 0; allowed: whole number ≥ 1 and ≤ 1024",
        "c.yaml:3: unknown key 'data.max_tokns'; did you mean 'data.max_tokens'?",
        "override 'train.epochs=fast': train.epochs is \"fast\"; allowed: number > 0",
        "c.yaml:6: train.seed is -1; allowed: whole number ≥ 0",
        "c.yaml: output_dir is required: text; write it in the file or as output_dir=…",
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("trian: {seed: 3}", "unknown key 'trian'; did you mean 'train'?"),
        ("learning_rate: 1e-4", "unknown key 'learning_rate'; did you mean 'train.learning_rate'?"),
        ("optim: {learning_rate: 1}", "unknown key 'optim'; did you mean 'train.learning_rate'?"),
        ("model: {Base: x}", "unknown key 'model.Base'; did you mean 'model.base'?"),
        (
            "model: {gradient_checkpointing: true}",
            "unknown key 'model.gradient_checkpointing'; did you mean 'train.gradient_checkpointing'?",
        ),
        ("train.seed: 1", "unknown key 'train.seed': in a file write it nested, train: {seed: …}"),
        ("train_seed: 1", "unknown key 'train_seed'; did you mean 'train.seed'?"),
        ("objective: {zzz: 1}", "unknown key 'objective.zzz'; keys here: train_on"),
    ],
)
def test_unknown_keys_suggest_what_was_meant(line: str, problem: str) -> None:
    assert messages(f"{GOOD}{line}\n") == [f"c.yaml:4: {problem}"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('train: {epochs: "3"}', 'train.epochs is "3"; allowed: number > 0'),
        ("train: {max_steps: true}", "train.max_steps is true; allowed: whole number or null ≥ 1"),
        ("train: {max_steps: 2.5}", "train.max_steps is 2.5; allowed: whole number or null ≥ 1"),
        ("lora: {enabled: yes}", 'lora.enabled is "yes"; allowed: true or false'),
        ("train: {learning_rate: .inf}", 'train.learning_rate is ".inf"; allowed: number > 0'),
        ("model: {base: 3}", "model.base is 3; allowed: text; quote it to make it text"),
        ("model: {base: null}", "model.base is null; allowed: text"),
        (
            "lora: {variant: rslor}",
            "lora.variant is \"rslor\"; allowed: lora | rslora | dora | pissa; did you mean 'rslora' or 'lora'?",
        ),
        ("lora: {target_modules: 3}", "lora.target_modules is 3; allowed: all-linear | family or list of text"),
        (
            "lora: {target_modules: [q, 3]}",
            'lora.target_modules is ["q", 3]; allowed: all-linear | family or list of text',
        ),
        ("report_to: [wandb, tb]", 'report_to[1] is "tb"; allowed: tensorboard | trackio | wandb | swanlab | mlflow'),
        ("lora: 8", "lora is 8; allowed: section with keys such as enabled / rank / alpha"),
    ],
)
def test_wrong_values_say_what_came_and_what_is_allowed(line: str, problem: str) -> None:
    assert messages(f"{GOOD}{line}\n") == [f"c.yaml:4: {problem}"]


def test_list_items_are_reported_on_their_own_line() -> None:
    text = "data:\n  train:\n  - a.jsonl\n  - 7\noutput_dir: o\n"
    assert messages(text) == [
        "c.yaml:4: data.train[1] is 7; allowed: text or section with keys such as path / rows / share; quote it to make it text"
    ]


def test_an_empty_list_where_items_are_needed() -> None:
    assert messages(GOOD, "data.train=[]") == [
        "override 'data.train=[]': data.train is []; allowed: list of text or section with keys such as "
        "path / rows / share, at least 1 of them"
    ]


def test_a_section_without_keys_is_refused_instead_of_wiping_out_defaults() -> None:
    """`train:` with everything below commented out must not fall back to another stage's learning rate."""
    Path("base.yaml").write_text("train:\n# seed: 3\n")
    found = messages(f"{GOOD}extends: base.yaml\ntrain: {{seed: 1}}\n", schema=DpoConfig)
    assert found == [
        "base.yaml:1: train is null; allowed: section with keys such as learning_rate / epochs / max_steps; "
        "set one of them or remove the line"
    ]


def test_long_values_are_shortened() -> None:
    (line,) = messages(GOOD, f"train.seed={'x' * 500}")
    assert line.endswith('"' + "x" * 59 + "…; allowed: whole number ≥ 0")


def test_rules_of_the_schema_speak_for_themselves_at_the_line_of_the_key_they_name() -> None:
    class Pair(BaseModel):
        low: int = 0
        high: int = 1

        @model_validator(mode="after")
        def _ordered(self) -> "Pair":
            if self.low > self.high:
                raise ValueError(f"low is {self.low}, above high, {self.high}")
            return self

    class Schema(BaseModel):
        model_config = ConfigDict(extra="forbid")
        pair: Pair = Pair()

    assert messages("# first\npair:\n  low: 5\n", schema=Schema) == ["c.yaml:3: pair: low is 5, above high, 1"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "c.yaml:1: the file is empty; expected `key: value` lines"),
        ("# nothing\n", "c.yaml:1: the file is empty; expected `key: value` lines"),
        ("- a\n- b\n", "c.yaml:1: expected `key: value` lines, got a list"),
        ("hello\n", "c.yaml:1: expected `key: value` lines, got a single value"),
        ("a: 1\nb: [1, 2\n", "c.yaml:3: not valid YAML: "),
        ("a: 1\n\tb: 2\n", "c.yaml:2: not valid YAML: "),
        ("a: *nowhere\n", "c.yaml:1: not valid YAML: found undefined alias"),
        ("a: 1\n---\na: 2\n", "c.yaml:2: not valid YAML: expected a single document"),
        ("x: &x\n  y: *x\n", "c.yaml:1: not valid YAML: an alias contains itself"),
        ("a: 1\nb: \x07\n", "c.yaml:2: not valid YAML: character U+0007 is not allowed"),
        (b"a: 1\nb: \xff\n", "c.yaml:2: the file is not UTF-8; save it as UTF-8"),
        ("[" * 5000, "c.yaml:1: not valid YAML: the nesting is too deep"),
        ("".join(f"{'  ' * i}k:\n" for i in range(60)), "c.yaml:33: not valid YAML: the nesting is too deep"),
        ("a: " + "x" * (1 << 19), "c.yaml:1: not valid YAML: the text has 524,291 characters, allowed are 524,288"),
        ("a: [" + "1, " * 20_000 + "1]\n", "c.yaml:1: not valid YAML: more than 20,000 values"),
        (
            "a0: &a0 [x, x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}]\n" for i in range(1, 30)),
            "c.yaml:1: not valid YAML: more than 20,000 values, those of aliases counted each time",
        ),
        (
            "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 30)),
            "c.yaml:1: not valid YAML: more than 20,000 values, those of aliases counted each time",
        ),
        (
            "a: "
            + "".join(f"{{<<: [&a{i} " for i in range(24))
            + "{x: 1}"
            + "".join(f", *a{i}]}}" for i in range(23, -1, -1)),
            "c.yaml:1: not valid YAML: more than 20,000 keys, those of merged mappings counted each time",
        ),
        ("a: &a\n  <<: *a\n", "c.yaml:1: not valid YAML: an alias contains itself"),
    ],
)
def test_files_that_cannot_be_read(text: str | bytes, problem: str) -> None:
    (line,) = messages(text)
    assert line.startswith(problem)


def test_a_device_is_read_no_further_than_a_config_may_be() -> None:
    with pytest.raises(ConfigError, match="/dev/zero:1: not valid YAML: the text has 2,097,153 characters"):
        load(SftConfig, "/dev/zero", [])


def test_ten_thousand_unknown_keys_are_not_all_looked_up() -> None:
    lines = messages("".join(f"key_{i}: 1\n" for i in range(9_000)))
    assert len(lines) < 110
    assert "unknown key 'key_0'" in "\n".join(lines)
    assert lines[-1].startswith("… and 8,9")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            "model: !!python/object/apply:os.system [echo]",
            "tag 'tag:yaml.org,2002:python/object/apply:",
        ),
        ("train: {seed: !!int abc}", "'abc' with tag 'tag:yaml.org,2002:int' is not a value that a config can hold"),
        ("train: {epochs: 1e999}", "'1e999' with tag 'tag:yaml.org,2002:float' is not a value"),
        ("train: {? [a, b] : 1}", "a key must be a word, not a list or mapping"),
    ],
)
def test_values_that_no_config_can_hold(line: str, problem: str) -> None:
    assert messages(f"{GOOD}{line}\n")[0].startswith(f"c.yaml:4: {problem}")


def test_missing_file_suggests_a_neighbor_and_does_not_ask_for_its_keys() -> None:
    Path("sft.yaml").write_text(GOOD)
    with pytest.raises(ConfigError) as caught:
        load(SftConfig, "sftt.yaml", ["train.seed=x"])
    assert str(caught.value).splitlines() == [
        "sftt.yaml: no such file; did you mean 'sft.yaml'?",
        "override 'train.seed=x': train.seed is \"x\"; allowed: whole number ≥ 0",
    ]


def test_a_folder_is_not_a_file() -> None:
    Path("conf").mkdir()
    with pytest.raises(ConfigError, match="conf: Is a directory"):
        load(SftConfig, "conf", [])


def test_extends_in_a_circle() -> None:
    Path("b.yaml").write_text("extends: c.yaml\n")
    assert messages(f"{GOOD}extends: [b.yaml]\n") == ["b.yaml:1: extends: goes in a circle: c.yaml → b.yaml → c.yaml"]


def test_extends_of_a_missing_file_names_the_asking_line() -> None:
    assert messages(f"{GOOD}extends:\n- nope.yaml\n") == ["c.yaml:5: extends: nope.yaml: no such file"]


@pytest.mark.parametrize("value", ["3", "null", "{a: b}", "[a.yaml, 3]", '""', '[""]'])
def test_extends_takes_only_paths(value: str) -> None:
    found = messages(f"{GOOD}extends: {value}\n")
    assert found[0] == "c.yaml:4: extends takes a path or a list of paths, relative to this file"


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("train.seed", "expected key=value, for example train.max_steps=50"),
        ("=5", "expected key=value, for example train.max_steps=50"),
        ("train..seed=5", "expected key=value, for example train.max_steps=50"),
        ("trian.seed=5", "unknown key 'trian'; did you mean 'train'?"),
        ("extends=b.yaml", "unknown key 'extends'; keys here: "),
        ("train={seed: 1, seed: 2}", "key 'seed' is set twice, on lines 1 and 1; keep one"),
        ("output_dir.x=1", 'output_dir is {"x": 1}; allowed: text'),
        ("data.system=Note: be kind", 'data.system is {"Note": "be kind"}; allowed: text or null'),
    ],
)
def test_wrong_overrides_are_quoted_in_the_message(override: str, problem: str) -> None:
    (line,) = messages(GOOD, override)
    assert line.startswith(f"override '{override}': {problem}")


def test_an_override_that_is_not_yaml_shows_a_word_that_works() -> None:
    (line,) = messages(GOOD, 'data.system=@say "hi"')
    assert "the value is not YAML" in line
    advice = line.split("as plain text: ")[1].strip("'")
    Path("c.yaml").write_text(GOOD)
    assert load(SftConfig, "c.yaml", [advice]).value.data.system == '@say "hi"'


def test_an_unknown_stage() -> None:
    with pytest.raises(
        ConfigError,
        match="unknown stage 'sftt'; stages are pt, sft, dpo, orpo, simpo, kto, rm, ppo, rloo, grpo, distill; did you mean 'sft'",
    ):
        stage_schema("sftt")


def test_an_unknown_stage_of_a_pipeline_is_named_at_its_line(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        "output_dir: o\nstages:\n  - {name: a, stage: sft}\n  - {name: b,\n     stage: sfft}\n", encoding="utf-8"
    )
    with pytest.raises(ConfigError) as error:
        load(PipelineConfig, file)
    assert str(error.value) == (
        f"{file}:5: stages[1].stage: unknown stage 'sfft'; stages are pt, sft, dpo, orpo, simpo, kto, rm, ppo, rloo, grpo, "
        "distill, curate; did you mean 'sft'?"
    )
