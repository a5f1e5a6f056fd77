"""From training to answers: whole modules beside adapters, and a longer context, are kept by the run, its merge and both's answers."""

import json
from pathlib import Path

import pytest
from rich.console import Console
from tests.marks import quick_and_slow
from tests.stages import Bench
from tests.tiny import save_tiny

from medicalgpt.config.sections import ModelConfig
from medicalgpt.export.merge import merge_run
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling
from medicalgpt.models.adapters import can_share
from medicalgpt.models.load import load
from medicalgpt.models.locate import locate
from medicalgpt.rendering.template import ChatTemplate

QUESTIONS = ("What helps with fever?", "How is asthma treated? And then?")


def answers(model: Path) -> list[list[list[int]]]:
    loaded = load(ModelConfig(base=str(model), dtype="float32"))
    engine = Engine(loaded.model, loaded.tokenizer, ChatTemplate.load(loaded.tokenizer, None))
    ids = [loaded.tokenizer(question)["input_ids"] for question in QUESTIONS]
    return engine.complete(ids, Sampling(12), n=1, batch_size=4, first_index=0)  # type: ignore[return-value]  # lists of lists


@pytest.mark.parametrize(
    ("tied", "words"),
    quick_and_slow(
        [
            (True, ("lora.modules_to_save=[lm_head,norm]",)),
            (True, ("model.rope_scaling=yarn", "model.rope_factor=4", "data.max_tokens=200", "train.row_tokens=200")),
        ],
        [(False, ("lora.modules_to_save=[embed_tokens,lm_head]",)), (False, ("lora.modules_to_save=[mlp]",))],
    ),
)
def test_a_run_and_its_merge_answer_alike(
    tied: bool, words: tuple[str, ...], bench: Bench, tmp_path: Path, no_figures: None
) -> None:
    base = save_tiny(tmp_path / "base", tie_word_embeddings=tied, max_position_embeddings=64)
    run = tmp_path / "run"
    bench.train(
        "sft", run, f"model.base={base}", "data.max_tokens=64", "train.max_steps=6", "train.learning_rate=5e-3", *words
    )
    merge_run(run, Console(quiet=True))
    learned = answers(run)
    assert learned == answers(run / "merged")
    assert learned != answers(base)
    config = json.loads((run / "merged" / "config.json").read_text())
    assert config["tie_word_embeddings"] is tied
    if "model.rope_scaling=yarn" in words:
        assert config["max_position_embeddings"] == 256
        rope = config["rope_parameters"]
        assert (rope["rope_type"], rope["factor"], rope["original_max_position_embeddings"]) == ("yarn", 4.0, 64)


@pytest.mark.slow
def test_a_reward_model_with_whole_modules_has_a_base_of_its_own(bench: Bench, tmp_path: Path) -> None:
    for name, words in (("plain", []), ("whole", ["lora.modules_to_save=[norm]"])):
        bench.train("rm", tmp_path / name, *words)
        assert can_share(locate(str(tmp_path / name))) == (name == "plain")
