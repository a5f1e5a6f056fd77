"""KTO against TRL 1.16 on the same rows and the same mismatched rows in fp32."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from tests.parity.test_trl import FEVER, PLAIN, QUESTION, SALT, adapter, copy_adapter, ours, preferences
from tests.tiny import tiny_model, tiny_tokenizer
from tests.trees import assert_same_gradients, gradients
from trl import KTOConfig, KTOTrainer

from medicalgpt.kernels import attention
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.objectives.base import LossOut
from medicalgpt.objectives.kto import UnpairedFeedback
from medicalgpt.rendering.batch import pack_trees
from medicalgpt.rendering.kto_pairs import mismatch
from medicalgpt.rendering.tree import TokenTree
from medicalgpt.training.supervised.module import StageModule


def answers() -> list[TokenTree]:
    """Good and bad answers to three prompts, one of them asked twice."""
    pairs = preferences()
    found = [TokenTree((t.segments[0], t.segments[1]), t.source, True) for t in pairs]
    return [
        *found,
        TokenTree((pairs[0].segments[0], pairs[0].segments[2]), pairs[0].source, False),
        replace(found[1], desirable=False),
    ]


class Oracle:
    """TRL's KTOTrainer, asked for its loss on rows that are already tokens."""

    clamped = False

    def __init__(self, lora: bool, scale: float, folder: Path) -> None:
        self.policy = ours(lora)
        with torch.no_grad():
            for name, parameter in self.policy.model.named_parameters():
                parameter.mul_(scale if "lora_B" in name else 1.0)
        turns = [{"prompt": QUESTION, "completion": a, "label": good} for a, good in ((FEVER, True), (SALT, False))]
        self.trainer = KTOTrainer(
            model=tiny_model(),
            ref_model=None if lora else tiny_model(seed=1),
            args=KTOConfig(str(folder), per_device_train_batch_size=2, **PLAIN),
            train_dataset=Dataset.from_list(turns),
            processing_class=tiny_tokenizer(),
            peft_config=adapter() if lora else None,
        )
        reference = None if lora else CausalPolicy(tiny_model(seed=1), "tree").eval()
        if reference is not None:
            attention.enable(reference.model)
        else:
            copy_adapter(self.policy, self.trainer.model)
        self.reference = reference
        self.trainer.model.train()

    def loss(self, trees: list[TokenTree], others: list[TokenTree], objective: UnpairedFeedback) -> torch.Tensor:
        t = self.trainer
        t.beta = objective.beta
        t.desirable_weight, t.undesirable_weight = objective.desirable_weight, objective.undesirable_weight
        t._metrics["train"].clear()
        rows = [
            {
                "prompt_ids": tree.segments[0].ids.tolist(),
                "completion_ids": tree.segments[1].ids.tolist(),
                "KL_completion_ids": other.segments[1].ids.tolist(),
                "label": tree.desirable,
            }
            for tree, other in zip(trees, others)
        ]
        return t.compute_loss(t.model, t.data_collator(rows))  # type: ignore[no-any-return]

    def ours(self, trees: list[TokenTree], others: list[TokenTree], objective: UnpairedFeedback) -> LossOut:
        module = StageModule(self.policy, objective, self.reference)
        batch = pack_trees(trees)
        batch.mismatched = pack_trees(others)
        total, count = module.baseline(batch)
        batch.baseline, batch.reference = total / count, module.reference_logps(batch)
        return objective.loss(self.policy, batch)


@pytest.fixture(scope="module", params=["full", "lora", "clamped"])
def oracle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    """Two with a baseline above 0, and an adapter that makes mismatched answers less likely: its baseline counts as 0."""
    scale = -0.3 if request.param == "lora" else 1.0
    found = Oracle(request.param != "full", scale, tmp_path_factory.mktemp("kto"))
    found.clamped = request.param == "clamped"
    return found


SETTINGS = [UnpairedFeedback(), UnpairedFeedback(0.5), UnpairedFeedback(0.05, 1.33, 0.5)]


@pytest.mark.parametrize("objective", SETTINGS, ids=str)
def test_loss_gradient_and_metrics_are_those_of_trl(oracle: Oracle, objective: UnpairedFeedback) -> None:
    trees = answers()
    others = list(mismatch(trees, 512, seed=3))
    wanted = oracle.loss(trees, others, objective)
    out = oracle.ours(trees, others, objective)
    found = out.sum / out.count
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    assert_same_gradients(gradients(oracle.policy.model, found), gradients(oracle.trainer.model, wanted))
    theirs: dict[str, Any] = oracle.trainer._metrics["train"]
    assert (theirs["kl"][-1] == 0) == oracle.clamped
    for name, other in {
        "kl_baseline": "kl",
        "rewards/desirable": "rewards/chosen",
        "rewards/undesirable": "rewards/rejected",
    }.items():
        total, count = out.metrics[name]
        assert float(total / count) == pytest.approx(theirs[other][-1], rel=1e-4, abs=1e-5), name
