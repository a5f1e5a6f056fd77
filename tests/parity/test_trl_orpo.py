"""ORPO against TRL's experimental trainer on the same rows in fp32."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from tests.parity.test_trl import FEVER, PLAIN, QUESTION, SALT, ours, preferences
from tests.tiny import tiny_model, tiny_tokenizer
from tests.trees import assert_same_gradients, gradients
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

from medicalgpt.objectives.orpo import OddsRatioPreference
from medicalgpt.rendering.batch import pack_trees
from medicalgpt.rendering.tree import TokenTree


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Only its loss is asked for."""
    folder: Path = tmp_path_factory.mktemp("orpo")
    more = {k: v for k, v in PLAIN.items() if k != "max_length"}
    return ORPOTrainer(
        model=tiny_model(),
        args=ORPOConfig(str(folder), max_length=512, **more),
        train_dataset=Dataset.from_list([{"prompt": QUESTION, "chosen": FEVER, "rejected": SALT}]),
        processing_class=tiny_tokenizer(),
    )


def padded(trees: list[TokenTree]) -> dict[str, torch.Tensor]:
    """Chosen and rejected rows as TRL pads them, labels on the answers."""
    batch: dict[str, torch.Tensor] = {}
    for number, name in ((0, "chosen"), (1, "rejected")):
        paths = [t.path(t.leaves[number]) for t in trees]
        width = max(len(ids) for ids, _ in paths)

        def fill(rows: list[list[int]], empty: int, width: int = width) -> torch.Tensor:
            return torch.tensor([r + [empty] * (width - len(r)) for r in rows])

        batch[f"{name}_input_ids"] = fill([ids.tolist() for ids, _ in paths], 0)
        batch[f"{name}_attention_mask"] = fill([[1] * len(ids) for ids, _ in paths], 0)
        batch[f"{name}_labels"] = fill([[int(i) if w else -100 for i, w in zip(*p)] for p in paths], -100)
    return batch


def theirs(trainer: Any, trees: list[TokenTree], weight: float) -> tuple[torch.Tensor, dict[str, Any]]:
    trainer.beta = weight
    trainer.model.train()
    return trainer.get_batch_loss_metrics(trainer.model, padded(trees))  # type: ignore[no-any-return]


def ours_of(policy: Any, trees: list[TokenTree], weight: float) -> Any:
    return OddsRatioPreference(weight).loss(policy, pack_trees(trees))


def test_the_odds_ratio_term_and_its_gradient_are_those_of_trl(trainer: Any) -> None:
    """TRL's NLL runs over prompts too, ours over answers; the difference between two weights leaves the odds term."""
    trees, policy = preferences(), ours(lora=False)
    wanted = theirs(trainer, trees, 1.5)[0] - theirs(trainer, trees, 0.5)[0]
    high, low = ours_of(policy, trees, 1.5), ours_of(policy, trees, 0.5)
    found = (high.sum - low.sum) / high.count
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    assert_same_gradients(gradients(policy.model, found), gradients(trainer.model, wanted))


def test_the_nll_term_is_that_of_trl_pair_by_pair(trainer: Any) -> None:
    trees, policy = preferences(), ours(lora=False)
    rows = padded(trees)
    chosen = trainer.concatenated_forward(trainer.model, rows)[0]
    out = ours_of(policy, trees, 0.0)
    torch.testing.assert_close(out.sum / out.count, -chosen.mean(), rtol=1e-5, atol=1e-5)
    assert_same_gradients(gradients(policy.model, out.sum / out.count), gradients(trainer.model, -chosen.mean()))


def test_metrics_are_those_of_trl(trainer: Any) -> None:
    trees = preferences()
    _, metrics = theirs(trainer, trees, 0.1)
    out = ours_of(ours(lora=False), trees, 0.1)

    def mean(name: str) -> float:
        total, count = out.metrics[name]
        return float(total / count)

    assert mean("rewards/accuracy") == pytest.approx(float(metrics["rewards/accuracies"]))
    assert mean("logps/chosen") == pytest.approx(float(metrics["logps/chosen"]), rel=1e-4)
    assert mean("logps/rejected") == pytest.approx(float(metrics["logps/rejected"]), rel=1e-4)
    assert mean("log_odds_ratio") == pytest.approx(float(metrics["log_odds_chosen"]), rel=1e-4, abs=1e-5)
    assert -mean("odds_loss") == pytest.approx(float(metrics["log_odds_ratio"]), rel=1e-4)
