"""The reward model: trees = each branch alone in transformers' own classifier, and its loss = TRL 1.16."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import get_peft_model
from tests.parity.test_trl import FEVER, PLAIN, QUESTION, SALT, preferences
from tests.tiny import tiny_config, tiny_tokenizer
from tests.trees import PAIR, SHORT_ROOT_PAIR, THREE_LEVELS, assert_same_gradients, gradients, grow
from transformers import AutoModelForSequenceClassification
from trl import RewardConfig, RewardTrainer
from trl.trainer.reward_trainer import DataCollatorForPreference

from medicalgpt.config.sections import LoraConfig
from medicalgpt.kernels import attention
from medicalgpt.models.adapters import _peft_config
from medicalgpt.models.optimize import optimize_for_training
from medicalgpt.models.reward import RewardPolicy, probe_scores
from medicalgpt.objectives.reward import RewardModeling
from medicalgpt.rendering.batch import pack_trees, pad_trees
from medicalgpt.rendering.tree import TokenTree

FAMILIES = ["llama", "qwen2", "qwen3", "mistral", "gemma3", "glm4"]


def classifier(kind: str = "llama", seed: int = 0) -> Any:
    torch.manual_seed(seed)
    config = tiny_config(kind, num_labels=1)
    config.pad_token_id = tiny_tokenizer().pad_token_id
    model = AutoModelForSequenceClassification.from_config(config).float()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4.0)
    return model


def alone(model: Any, trees: Sequence[TokenTree]) -> torch.Tensor:
    """transformers' own forward on one branch at a time."""
    paths = [t.path(leaf)[0] for t in trees for leaf in t.leaves]
    return torch.cat([model(input_ids=torch.from_numpy(p).long()[None], use_cache=False).logits[0] for p in paths])


def trees() -> list[TokenTree]:
    return [grow(shape, 300, i) for i, shape in enumerate((PAIR, SHORT_ROOT_PAIR, THREE_LEVELS, PAIR))]


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_score_in_a_tree_is_that_of_its_branch_alone(kind: str) -> None:
    model = classifier(kind).eval()
    attention.enable(model)
    optimize_for_training(model)
    assert probe_scores(model).batching == "tree"
    wanted = alone(classifier(kind).eval(), trees())
    found = RewardPolicy(model, "tree").scores(pack_trees(trees()))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    padded = RewardPolicy(model, "padded").scores(pad_trees(trees()))
    torch.testing.assert_close(padded, wanted, rtol=1e-5, atol=1e-5)


def test_a_model_that_cannot_do_trees_is_padded() -> None:
    model = classifier("bloom").eval()
    attention.enable(model)
    found = probe_scores(model)
    assert found.batching == "padded"
    assert "attention interface" in found.reason
    scores = RewardPolicy(model, "padded").scores(pad_trees(trees()))
    torch.testing.assert_close(scores, alone(model, trees()), rtol=1e-4, atol=1e-4)


def test_the_score_is_read_at_the_last_weighted_token() -> None:
    """A template may put a newline after the stop token; its state has not been trained to score."""
    model = classifier().eval()
    attention.enable(model)
    (tree,) = [grow(PAIR, 300)]
    prompt, chosen, rejected = tree.segments
    chosen.weights[:] = [1, 1, 1, 1, 0]
    cut = TokenTree((prompt, type(chosen)(chosen.ids[:4], chosen.weights[:4], 0), rejected), tree.source)
    for build, batching in ((pack_trees, "tree"), (pad_trees, "padded")):
        policy = RewardPolicy(model, batching)  # type: ignore[arg-type]
        torch.testing.assert_close(policy.scores(build([tree])), alone(model, [cut]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize(("margin", "centre"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.1)])
def test_loss_and_gradient_are_those_of_trl(lora: bool, margin: float, centre: float, tmp_path: Path) -> None:
    rows = preferences()
    model = classifier()
    attention.enable(model)
    trainer = RewardTrainer(
        model=classifier(),
        args=RewardConfig(str(tmp_path), center_rewards_coefficient=centre or None, disable_dropout=False, **PLAIN),
        train_dataset=Dataset.from_list([{"prompt": QUESTION, "chosen": FEVER, "rejected": SALT}]),
        processing_class=tiny_tokenizer(),
        peft_config=_peft_config(model, LoraConfig(rank=4, alpha=16), "score") if lora else None,
    )
    if lora:
        model = get_peft_model(model, _peft_config(model, LoraConfig(rank=4, alpha=16), "score"))
        weights = {n: p + 0.05 for n, p in trainer.model.state_dict().items() if "lora_" in n or ".score." in n}
        for target in (model, trainer.model):
            assert not target.load_state_dict(weights, strict=False).unexpected_keys
    optimize_for_training(model)
    examples = [
        {
            "chosen_ids": t.path(t.leaves[0])[0].tolist(),
            "rejected_ids": t.path(t.leaves[1])[0].tolist(),
            **({"margin": margin} if margin else {}),
        }
        for t in rows
    ]
    trainer.model.train()
    collate = DataCollatorForPreference(pad_token_id=tiny_tokenizer().pad_token_id)
    wanted = trainer.compute_loss(trainer.model, collate(examples))
    out = RewardModeling(margin, centre).loss(RewardPolicy(model).train(), pack_trees(rows))
    found = out.sum / out.count
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    assert_same_gradients(gradients(model, found), gradients(trainer.model, wanted))
    for name, theirs in (("rewards/accuracy", "accuracy"), ("rewards/margin", "margin")):
        total, count = out.metrics[name]
        assert float(total / count) == pytest.approx(trainer._metrics["train"][theirs][-1], rel=1e-4, abs=1e-5)
