"""SimPO against TRL's experimental CPO trainer, which has it as one of its losses, on the same rows in fp32."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from tests.parity.test_trl import FEVER, NAMES, PLAIN, QUESTION, SALT, ours, preferences
from tests.parity.test_trl_orpo import padded
from tests.tiny import tiny_model, tiny_tokenizer
from tests.trees import assert_same_gradients, gradients
from trl.experimental.cpo import CPOConfig, CPOTrainer

from medicalgpt.objectives.simpo import SimplePreference
from medicalgpt.rendering.batch import pack_trees


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Only its loss is asked for."""
    folder: Path = tmp_path_factory.mktemp("simpo")
    more = {k: v for k, v in PLAIN.items() if k != "max_length"}
    found = CPOTrainer(
        model=tiny_model(),
        args=CPOConfig(str(folder), max_length=512, loss_type="simpo", cpo_alpha=0.0, **more),
        train_dataset=Dataset.from_list([{"prompt": QUESTION, "chosen": FEVER, "rejected": SALT}]),
        processing_class=tiny_tokenizer(),
    )
    found.model.train()
    return found


@pytest.mark.parametrize(("beta", "gamma"), [(2.0, 1.0), (2.5, 0.3), (10.0, 5.0), (1.0, 0.0)])
def test_loss_gradient_and_metrics_are_those_of_trl(trainer: Any, beta: float, gamma: float) -> None:
    trees, policy = preferences(), ours(lora=False)
    trainer.beta, trainer.simpo_gamma = beta, gamma
    wanted, metrics = trainer.get_batch_loss_metrics(trainer.model, padded(trees))
    out = SimplePreference(beta, gamma).loss(policy, pack_trees(trees))
    found = out.sum / out.count
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    assert_same_gradients(gradients(policy.model, found), gradients(trainer.model, wanted))
    theirs = {f"rewards/{n}": f"rewards/{NAMES[n]}" for n in ("margin", "accuracy")}
    theirs |= {f"logps/{n}": f"logps/{n}" for n in ("chosen", "rejected")}
    for name, other in theirs.items():
        total, count = out.metrics[name]
        assert float(total / count) == pytest.approx(float(metrics[other]), rel=1e-4, abs=1e-5), name
