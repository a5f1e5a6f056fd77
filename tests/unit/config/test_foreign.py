"""Words of other tools are explained by the key that says the same here."""

import pytest

from medicalgpt.config.explain import explain
from medicalgpt.config.foreign import _LINES, FOREIGN, meant_by
from medicalgpt.config.loader import load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.stages import STAGES
from medicalgpt.errors import ConfigError

GOOD = ["data.train=[a.jsonl]", "output_dir=runs/x"]


def said(stage: str, *words: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(stage_schema(stage), None, [*GOOD, *words])
    return str(caught.value).splitlines()


def test_every_key_that_is_named_exists_and_no_word_is_one_of_ours() -> None:
    keys = {row.key for stage in STAGES for row in explain(stage_schema(stage))}
    assert {key for meant in FOREIGN.values() for key in meant.keys} <= keys  # a field of that name
    assert not FOREIGN.keys() & keys
    words = [word for words, _, _ in _LINES for word in words.split()]
    assert len(words) == len(set(words)), "a word in two lines"
    assert all(meant.keys or meant.note for meant in FOREIGN.values())


@pytest.mark.parametrize(
    ("stage", "word", "meant"),
    [
        ("sft", "model_name_or_path=x", "did you mean 'model.base'?"),
        ("sft", "num_train_epochs=3", "did you mean 'train.epochs'?"),
        ("sft", "cutoff_len=1024", "did you mean 'data.max_tokens'?"),
        ("sft", "lora_rank=8", "did you mean 'lora.rank'?"),
        ("sft", "train.lora_target=all", "did you mean 'lora.target_modules'?"),
        ("sft", "per_device_train_batch_size=4", "did you mean 'train.tokens_per_step'? Batches are counted in tokens"),
        ("grpo", "per_device_train_batch_size=4", "did you mean 'rollout.prompts'? Batches"),
        ("grpo", "num_generations=8", "did you mean 'rollout.completions'?"),
        ("dpo", "pref_beta=0.1", "did you mean 'objective.beta'?"),
        ("sft", "pref_beta=0.1", "; this stage has nothing like it"),
        ("ppo", "max_new_tokens=64", "did you mean 'rollout.max_new_tokens'?"),
        ("sft", "bf16=true", "did you mean 'model.dtype'?"),
        ("sft", "quantization_bit=4", "did you mean 'quantization'? Int8 or nf4"),
        ("sft", "deepspeed=ds.json", "did you mean 'distributed.shard'? Full is FSDP and zero3; zero2 is full"),
        ("sft", "ddp_timeout=7200", "did you mean 'distributed.timeout'?"),
        ("sft", "tensor_parallel_size=2", "; a layer is never split over devices"),
        ("sft", "packing=true", "; rows are always packed"),
        ("sft", "Save-Steps=5", "did you mean 'train.save_every'?"),
        ("sft", "train.output_dir=x", "did you mean 'output_dir'?"),
        ("sft", "data.learning_rate=1e-4", "did you mean 'train.learning_rate'?"),
    ],
)
def test_a_foreign_word_is_told_ours(stage: str, word: str, meant: str) -> None:
    (line,) = said(stage, word)
    key = word.partition("=")[0]
    assert line.startswith(f"override '{word}': unknown key '{key}'{meant if meant[0] == ';' else '; ' + meant}")


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("model=/x", "model.base"),
        ("data=a.jsonl", "data.train"),
        ("data=[a, b]", "data.train"),
        ("lora=false", "lora.enabled"),
    ],
)
def test_a_value_in_place_of_a_section(word: str, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"; did you mean {key}\?"):
        load(stage_schema("sft"), None, [*GOOD, word])


def test_how_a_word_is_written_does_not_matter() -> None:
    assert meant_by("--Cutoff-Len") is FOREIGN["cutoff_len"]
    assert meant_by("cutoff_len_") is None
