"""RLOO and GRPO against TRL 1.16: the same answers and scores give the same advantages, losses and gradients."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from tests.marks import quick_and_slow
from tests.parity.test_trl import copy_adapter
from tests.rl import Pieces, config, pieces, shake
from tests.stages import Bench
from tests.trees import assert_same_gradients
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from medicalgpt.rewards.sources import Scores
from medicalgpt.training.rl.experience import assign, measure
from medicalgpt.training.rl.process_group import ProcessGroup
from medicalgpt.training.stages import policy_objective

BETA, TEMPERATURE = 0.3, 0.7
SEVERAL = ("rollout.completions=3", f"rollout.temperature={TEMPERATURE}", "lora.rank=4", "lora.alpha=16")
PAPER = {"use_bias_correction_kl": False}  # the paper's k3; DeepSeek-V3.2 weighs it by the ratio
METHODS = pytest.mark.parametrize("lora", [True, False], ids=["lora", "full"])


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench.set_up(tmp_path_factory.mktemp("bench"))


def oracle(bench: Bench, folder: Path, stage: str, lora: bool, **settings: Any) -> Any:
    """TRL's trainer on the same base."""
    trainer, arguments = {"rloo": (RLOOTrainer, RLOOConfig), "grpo": (GRPOTrainer, GRPOConfig)}[stage]
    plain = {"bf16": False, "gradient_checkpointing": False, "report_to": "none", "use_cpu": True, "num_iterations": 2}
    sizes = {"per_device_train_batch_size": 12, "num_generations": 3, "max_completion_length": 8}
    tokenizer = AutoTokenizer.from_pretrained(bench.base)
    return trainer(
        model=AutoModelForCausalLM.from_pretrained(bench.base, dtype=torch.float32),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=arguments(str(folder), beta=BETA, temperature=TEMPERATURE, **plain, **sizes, **settings),
        train_dataset=Dataset.from_list([{"prompt": "unused"}]),
        processing_class=tokenizer,
        peft_config=LoraConfig(r=4, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
        if lora
        else None,
    )


def copy_weights(p: Pieces, theirs: Any, lora: bool) -> None:
    if lora:
        copy_adapter(p.roles.policy, theirs)
    else:
        theirs.load_state_dict(p.roles.policy.model.state_dict())


def their_batch(trainer: Any, p: Pieces, scores: np.ndarray) -> dict[str, Any]:
    """TRL's own scoring of our answers: its old and reference log-probabilities and its advantages."""
    answers = [(g.row.ids, a.ids) for g in p.groups for a in g.answers]
    prompts, completions = ([list(x[i]) for x in answers] for i in (0, 1))
    texts = [""] * len(answers)
    rest: tuple[Any, ...] = (completions, texts)
    if isinstance(trainer, GRPOTrainer):
        rest = (completions, None, texts, None, {}, None, None)
    trainer._generate = lambda _: (prompts, *rest)
    trainer._calculate_rewards = lambda *_: torch.from_numpy(scores).float()[:, None]
    trainer.model.train()
    return trainer._generate_and_score_completions([{"prompt": ""} for _ in answers])  # type: ignore[no-any-return]


def end_at(trainer: Any, p: Pieces) -> None:
    """Let TRL and us take the same answers for ended: those whose last token some of them have."""
    last = [a.ids[-1] for g in p.groups for a in g.answers]
    ends = {*last[::5], trainer._tokenizer.pad_token_id}
    trainer.eos_token_ids = sorted(ends)
    p.seen.stopped = torch.tensor([token in ends for token in last])
    assert 0 < int(p.seen.stopped.sum()) < len(last)


def ours(p: Pieces, beta: float) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Our loss over rows of 64 tokens, and its gradients by TRL's names of the parameters."""
    objective = policy_objective(p.config, beta)
    parts = [objective.loss(p.roles.policy, batch) for batch in p.batches(range(4), capacity=64)]
    assert len(parts) > 1
    loss = sum(out.sum for out in parts) / sum(out.count for out in parts)
    named = {n.removeprefix("policy.model."): q for n, q in p.roles.trained().items()}
    grads = torch.autograd.grad(loss, list(named.values()))
    return loss.detach(), dict(zip(named, grads))


def agree(bench: Bench, folder: Path, stage: str, lora: bool, theirs: dict[str, Any], *overrides: str) -> None:
    """Same advantages at the start; same losses and gradients after both policies moved in the same way."""
    pull = f"objective.beta={BETA}"
    p = pieces(config(bench, stage, folder / "run", *SEVERAL, pull, f"lora.enabled={str(lora).lower()}", *overrides))
    trainer = oracle(bench, folder, stage, lora, **theirs)
    # A policy that has left its reference, so that KL counts.
    shake(p.roles.trained(), 0.01 if lora else 0.003)
    copy_weights(p, trainer.model, lora)
    p.seen = measure(p.roles, p.groups, 128, 3)
    if theirs.get("mask_truncated_completions"):
        end_at(trainer, p)
    scores = np.random.default_rng(0).normal(size=12)
    found = their_batch(trainer, p, scores)
    assign(p.config, p.seen, Scores(scores, scores), BETA, ProcessGroup(0, 1, torch.device("cpu")))
    ends = p.seen.lengths.cumsum(0) - 1
    torch.testing.assert_close(p.seen.targets.advantages[ends], found["advantages"], rtol=1e-4, atol=1e-4)
    assert float(p.seen.kl.abs().max()) > 1e-2

    shake(p.roles.trained(), 0.02 if lora else 0.004 if stage == "rloo" else 0.012, seed=9)
    copy_weights(p, trainer.model, lora)
    trainer.current_gradient_accumulation_steps = 1
    wanted = trainer.compute_loss(trainer.model, found)
    loss, grads = ours(p, BETA)
    torch.testing.assert_close(loss, wanted.detach(), rtol=1e-5, atol=1e-5)
    named = {n: q for n, q in trainer.model.named_parameters() if q.requires_grad}
    slopes = dict(zip(named, torch.autograd.grad(wanted, list(named.values()))))
    assert_same_gradients(grads, slopes)
    clipped = [v[-1] for n, v in trainer._metrics["train"].items() if n == "clip_ratio/region_mean"]
    assert 0 < clipped[0] < 1, "clipping should have been at work"


@METHODS
def test_rloo_is_that_of_trl(bench: Bench, tmp_path: Path, lora: bool) -> None:
    agree(bench, tmp_path, "rloo", lora, {})


@METHODS
@pytest.mark.parametrize("kind", ["bnpo", "grpo"])
@pytest.mark.parametrize("scale", [True, False])
def test_grpo_is_that_of_trl(bench: Bench, tmp_path: Path, lora: bool, kind: str, scale: bool) -> None:
    theirs: dict[str, Any] = {"loss_type": kind, "scale_rewards": "group" if scale else "none", "epsilon_high": 0.28}
    words = (f"objective.loss_type={kind}", f"objective.scale={str(scale).lower()}", "objective.clip_high=0.28")
    agree(bench, tmp_path, "grpo", lora, theirs | PAPER, *words)


@pytest.mark.parametrize("kind", ["dapo", "dr_grpo"])
def test_other_means_are_those_of_trl(bench: Bench, tmp_path: Path, kind: str) -> None:
    theirs: dict[str, Any] = {"loss_type": kind, "epsilon_high": 0.28, "steps_per_generation": 1}
    agree(bench, tmp_path, "grpo", True, theirs | PAPER, f"objective.loss_type={kind}", "objective.clip_high=0.28")


@pytest.mark.parametrize("kind", quick_and_slow(["bnpo", "dapo"], ["grpo", "dr_grpo"]))
def test_answers_that_the_limit_cut_carry_no_loss_as_in_trl(bench: Bench, tmp_path: Path, kind: str) -> None:
    theirs: dict[str, Any] = {"loss_type": kind, "epsilon_high": 0.28, "steps_per_generation": 1}
    words = (f"objective.loss_type={kind}", "objective.clip_high=0.28", "objective.overlong_filter=true")
    agree(bench, tmp_path, "grpo", True, theirs | PAPER | {"mask_truncated_completions": True}, *words)


def test_gspo_without_the_answers_that_the_limit_cut_is_that_of_trl(bench: Bench, tmp_path: Path) -> None:
    theirs: dict[str, Any] = {"loss_type": "grpo", "importance_sampling_level": "sequence"}
    theirs |= {"epsilon": 0.002, "epsilon_high": 0.003, "mask_truncated_completions": True}
    words = ("objective.ratio=sequence", "objective.sequence_clip=0.002", "objective.sequence_clip_high=0.003")
    more = ("objective.loss_type=grpo", "objective.overlong_filter=true")
    agree(bench, tmp_path, "grpo", True, theirs | PAPER, *words, *more)


@pytest.mark.parametrize("kind", ["grpo", "bnpo"])
def test_gspo_is_that_of_trl(bench: Bench, tmp_path: Path, kind: str) -> None:
    """Its own clip range, wider than the paper's, so that some answers are clipped and others are not."""
    theirs: dict[str, Any] = {"loss_type": kind, "importance_sampling_level": "sequence"}
    theirs |= {"epsilon": 0.002, "epsilon_high": 0.003}
    words = ("objective.ratio=sequence", "objective.sequence_clip=0.002", "objective.sequence_clip_high=0.003")
    agree(bench, tmp_path, "grpo", True, theirs | PAPER, f"objective.loss_type={kind}", *words)


def test_the_reference_is_the_same_one(bench: Bench, tmp_path: Path) -> None:
    """TRL switches its adapter off or loads the base once more; we do the same."""
    p = pieces(config(bench, "grpo", tmp_path / "run", *SEVERAL))
    found = their_batch(oracle(bench, tmp_path, "grpo", True), p, np.zeros(12))
    theirs = found["ref_per_token_logps"][found["completion_mask"].bool()]
    torch.testing.assert_close(p.seen.reference, theirs, rtol=1e-5, atol=1e-5)
