"""Worlds whose best policy is known: PPO, RLOO and GRPO find it through the real stage, and only by the true reward."""

from pathlib import Path

import pytest
from tests.marks import quick_and_slow
from tests.rl import scored_by
from tests.stages import Bench, column, write
from tests.tiny import save_tiny, tiny_tokenizer

from medicalgpt.config.loader import load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.training.stage import run_stage

STAGES = pytest.mark.parametrize("stage", quick_and_slow(["ppo"], ["rloo", "grpo"]))
LETTERS = "abcd"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A base that says the letters a to d or stops, each about as often, whatever it is asked."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("world")
    save_tiny(folder / "base", scale=4.0)
    file = folder / "base" / "model.safetensors"
    weights = load_file(file)
    # The first hidden number is the same large one everywhere, and the head reads from it which tokens may be said.
    weights["model.embed_tokens.weight"][:, 0] = 0.2
    for name, value in weights.items():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            value[0] = 0.0
    said = [*tiny_tokenizer().convert_tokens_to_ids(list(LETTERS)), tiny_tokenizer().eos_token_id]
    head = weights["lm_head.weight"]
    head[:, 0] = -8.0
    head[said] *= 2.5
    head[said, 0] = 8.0
    save_file(weights, file, metadata={"format": "pt"})
    write(folder / "sft.jsonl", [{"prompt": q} for q in ("Fever?", "Cough?", "Pain?", "Sleep?", "Salt?", "Water?")])
    return Bench(folder)


def live(world: Bench, out: Path, stage: str, reward: str, *overrides: str) -> dict[str, list[float]]:
    """One run; its columns. Nothing but the reward counts, unless overrides say so."""
    base = [f"model.base={world.base}", f"data.train={world.folder / 'sft.jsonl'}", f"output_dir={out}"]
    free = ["health.max_kl=null", "health.min_entropy=null", "health.max_stop_rate_fall=null", "objective.beta=0"]
    size = ["data.max_tokens=32", "rollout.prompts=4", "rollout.completions=8", "rollout.max_new_tokens=2"]
    speed = ["train.learning_rate=1e-2", "model.dtype=float32"]
    rest = [
        "reward.missing_stop_penalty=0",
        "lora.rank=4",
        "lora.alpha=8",
        "data.eval_fraction=0.17",
        scored_by(reward),
    ]
    rest += ["rollout.batch_size=64", "train.sample_count=0"]
    rest += ["objective.critic_learning_rate=1e-2"] if stage == "ppo" else []
    run_stage(load(stage_schema(stage), None, [*base, *free, *size, *speed, *rest, *overrides]))
    return {name: column(out, f"train/{name}") for name in ("score", "kl", "entropy")} | {
        "held out": column(out, "eval/score")
    }


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


@STAGES
def test_saying_one_letter_is_learned(world: Bench, tmp_path: Path, no_figures: None, stage: str) -> None:
    found = live(world, tmp_path / "run", stage, "share_of_a", "train.max_steps=12")
    assert found["score"][0] < 0.5
    assert mean(found["score"][-3:]) >= 0.95
    assert found["held out"] == [pytest.approx(0.0, abs=0.5), pytest.approx(1.0, abs=0.05)]


@pytest.mark.slow
@STAGES
def test_a_first_letter_is_credited_for_what_comes_later(
    world: Bench, tmp_path: Path, no_figures: None, stage: str
) -> None:
    settings = ("train.max_steps=32", "rollout.completions=12")
    found = live(world, tmp_path / "run", stage, "a_then_b", *settings)
    assert found["score"][0] < 0.3
    assert mean(found["score"][-3:]) >= 0.95
    assert found["held out"][-1] == 1.0


@pytest.mark.slow
@STAGES
def test_a_strong_pull_keeps_the_policy_at_its_reference(
    world: Bench, tmp_path: Path, no_figures: None, stage: str
) -> None:
    """The same steps of the same size. The first one is free, as KL and its gradient are 0 at the reference."""
    held = live(world, tmp_path / "held", stage, "share_of_a", "train.max_steps=8", "objective.beta=100")
    free = live(world, tmp_path / "free", stage, "share_of_a", "train.max_steps=8")
    assert max(free["kl"]) > 1.5
    assert max(map(abs, held["kl"][-3:])) < 0.15
    assert mean(held["score"][-3:]) < 0.6 < mean(free["score"][-3:])


@pytest.mark.slow
@STAGES
def test_the_right_scores_of_the_wrong_answers_teach_nothing(
    world: Bench, tmp_path: Path, no_figures: None, stage: str
) -> None:
    """Their mean is still the true score. A pull to the reference keeps chance from carrying the policy away."""
    settings = ("train.max_steps=10", "rollout.min_new_tokens=1", "objective.beta=0.2", "train.learning_rate=5e-3")
    settings += ("objective.scale=false",) if stage == "grpo" else ()  # so that score and KL keep their proportion
    right, *wrong = [
        live(world, tmp_path / f"{i}", stage, reward, *settings, f"train.seed={i}")["score"]
        for i, reward in enumerate(("share_of_a", "shuffled", "shuffled"))
    ]
    assert mean(right[-3:]) - right[0] > 0.35
    assert max(mean(w[-3:]) - w[0] for w in wrong) < 0.15


@pytest.mark.parametrize("name", quick_and_slow(["choice_letter"], ["exact", "contains"]))
def test_the_answer_of_the_row_is_learned_where_rewards_compare_with_it(
    name: str, world: Bench, tmp_path: Path
) -> None:
    rows = [{"prompt": q, "answer": "B"} for q in ("Fever?", "Cough?", "Pain?", "Sleep?", "Salt?", "Water?")]
    data = write(tmp_path / "rows.jsonl", rows)
    named = f"reward.functions=[{{name: {name}}}]"
    found = live(world, tmp_path / "run", "grpo", "unused", f"data.train={data}", named, "train.max_steps=25")
    assert found["score"][0] < 0.6
    assert sum(found["score"][-5:]) / 5 >= 0.95
