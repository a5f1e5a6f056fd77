"""SFT and DPO against TRL 1.16, an independent implementation, on the same rows in fp32."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from tests.tiny import tiny_model, tiny_tokenizer
from tests.trees import assert_same_gradients, gradients
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from medicalgpt.data.records import Dialogue, Message, Preference, Source
from medicalgpt.kernels import attention
from medicalgpt.kernels.lora import fuse_lora
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.objectives.base import LossOut
from medicalgpt.objectives.dpo import DirectPreference
from medicalgpt.objectives.language import SupervisedFineTuning
from medicalgpt.rendering.batch import TreeBatch, pack_trees
from medicalgpt.rendering.rows import render_dialogue, render_preference
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.tree import TokenTree
from medicalgpt.training.supervised.module import StageModule

QUESTION, FEVER, SALT = "What is a fever?", "38 degrees or more.", "Less salt, more movement, and tablets."
PLAIN = {"bf16": False, "gradient_checkpointing": False, "report_to": "none", "max_length": None, "use_cpu": True}


def user(text: str) -> Message:
    return Message("user", text)


def says(text: str) -> Message:
    return Message("assistant", text)


def dialogues() -> list[TokenTree]:
    """A short row, one with a system message, and a conversation of three answers."""
    rows = [
        (user(QUESTION), says(FEVER)),
        (Message("system", "Be brief."), user("高血壓怎麼辦？"), says("請諮詢醫師。")),
        (user(QUESTION), says(FEVER), user("And high blood pressure?"), says(SALT), user("發燒？"), says("\n多喝水。")),
    ]
    template = ChatTemplate.load(tiny_tokenizer())
    return [
        t for i, row in enumerate(rows) for t in render_dialogue(Dialogue(row, Source("d", i)), template, 512).trees
    ]


def preferences() -> list[TokenTree]:
    """Answers of unequal length, in both orders."""
    rows = [(QUESTION, FEVER, "No idea."), ("高血壓？", "請諮詢醫師。", SALT + " " + FEVER), ("Cough?", SALT, "高血")]
    template = ChatTemplate.load(tiny_tokenizer())
    records = [
        Preference((user(q), says("Yes?"), user(q)), (says(a),), (says(b),), Source("p", i))
        for i, (q, a, b) in enumerate(rows)
    ]
    return [t for record in records for t in render_preference(record, template, 512).trees]


def adapter() -> LoraConfig:
    return LoraConfig(r=4, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")


def ours(lora: bool) -> CausalPolicy:
    """Our policy; its adapter has been trained already, so that it differs from the reference."""
    model = tiny_model()
    attention.enable(model)
    if lora:
        model = get_peft_model(model, adapter())
        random = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.copy_(torch.randn(parameter.shape, generator=random) * 0.1)
        assert fuse_lora(model) == 14  # seven linear layers in each of two blocks
    return CausalPolicy(model, "tree").train()


def copy_adapter(source: CausalPolicy, target: Any) -> None:
    weights = {n: p for n, p in source.model.state_dict().items() if "lora_" in n}
    assert weights
    assert not target.load_state_dict(weights, strict=False).unexpected_keys


def named(objective: dict[str, Any]) -> str:
    return "-".join(f"{k}={v}" for k, v in objective.items())


# -- supervised fine-tuning ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
def test_sft_loss_gradient_and_accuracy_are_those_of_trl(lora: bool, tmp_path: Path) -> None:
    trees, policy = dialogues(), ours(lora)
    rows = []
    for tree in trees:
        ids, weights = tree.path(0)
        assert set(weights) == {0.0, 1.0}
        rows.append({"input_ids": ids.tolist(), "labels": [int(i) if w else -100 for i, w in zip(ids, weights)]})
    trainer = SFTTrainer(
        model=tiny_model(),
        args=SFTConfig(str(tmp_path), **PLAIN),
        train_dataset=Dataset.from_list(rows),
        processing_class=tiny_tokenizer(),
        peft_config=adapter() if lora else None,
    )
    if lora:
        copy_adapter(policy, trainer.model)
    trainer.model.train()
    wanted = trainer.compute_loss(trainer.model, trainer.data_collator(rows))
    out = SupervisedFineTuning().loss(policy, pack_trees(trees))
    assert out.count.item() == sum(label >= 0 for row in rows for label in row["labels"])
    found = out.sum / out.count
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    hits, tokens = out.metrics["accuracy"]
    assert float(hits / tokens) == pytest.approx(trainer._metrics["train"]["mean_token_accuracy"][-1])
    assert_same_gradients(gradients(policy.model, found), gradients(trainer.model, wanted))


# -- direct preference optimization --------------------------------------------------------------------------------


class Oracle:
    """TRL's DPOTrainer, asked for its loss on rows that are already tokens."""

    def __init__(self, lora: bool, folder: Path) -> None:
        self.policy = ours(lora)
        turn = {"prompt": QUESTION, "chosen": FEVER, "rejected": SALT}  # only to build the trainer
        self.trainer = DPOTrainer(
            model=tiny_model(),
            ref_model=None if lora else tiny_model(seed=1),
            args=DPOConfig(str(folder), **PLAIN),
            train_dataset=Dataset.from_list([turn]),
            processing_class=tiny_tokenizer(),
            peft_config=adapter() if lora else None,
        )
        self.collate = DataCollatorForPreference(pad_token_id=tiny_tokenizer().pad_token_id)
        reference = None if lora else CausalPolicy(tiny_model(seed=1), "tree").eval()
        if reference is not None:
            attention.enable(reference.model)
        else:
            copy_adapter(self.policy, self.trainer.model)
        self.module = StageModule(self.policy, DirectPreference(), reference)
        self.trainer.model.train()

    def loss(self, trees: list[TokenTree], kinds: list[str], beta: float, weights: list[float] | None = None) -> Any:
        t = self.trainer
        t.loss_types, t.loss_weights, t.beta = kinds, weights or [1.0], beta
        t._metrics["train"].clear()
        rows = []
        for tree in trees:
            prompt, chosen, rejected = (s.ids.tolist() for s in tree.segments)
            rows.append({"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected})
        return t.compute_loss(t.model, self.collate(rows))

    def metric(self, name: str) -> float:
        return float(self.trainer._metrics["train"][name][-1])

    def ours(self, objective: DirectPreference, trees: list[TokenTree]) -> tuple[torch.Tensor, LossOut]:
        batch = pack_trees(trees)
        batch.reference = self.module.reference_logps(batch)
        out = objective.loss(self.policy, batch)
        return out.sum / out.count, out


@pytest.fixture(scope="module", params=[False, True], ids=["full", "lora"])
def oracle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    return Oracle(request.param, tmp_path_factory.mktemp("dpo"))


def swapped(trees: list[TokenTree]) -> list[TokenTree]:
    return [TokenTree((t.segments[0], t.segments[2], t.segments[1]), t.source) for t in trees]


def agree(oracle: Oracle, found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    assert_same_gradients(gradients(oracle.policy.model, found), gradients(oracle.trainer.model, wanted))


LOSSES = [
    ("sigmoid", {"kind": "sigmoid", "beta": 0.1}),
    ("sigmoid", {"kind": "sigmoid", "beta": 0.5}),
    ("hinge", {"kind": "hinge", "beta": 0.05}),
    ("ipo", {"kind": "ipo", "beta": 0.2}),
    ("sigmoid_norm", {"kind": "sigmoid", "beta": 2.0, "length_normalized": True}),
]


@pytest.mark.parametrize(("kind", "settings"), LOSSES, ids=[named(s) for _, s in LOSSES])
def test_dpo_loss_and_gradient_are_those_of_trl(oracle: Oracle, kind: str, settings: dict[str, Any]) -> None:
    trees, objective = preferences(), DirectPreference(**settings)
    agree(oracle, oracle.ours(objective, trees)[0], oracle.loss(trees, [kind], objective.beta))


def test_label_smoothing_is_a_mix_of_both_orders(oracle: Oracle) -> None:
    """cDPO: with a share ε of swapped labels the expected loss is (1-ε)·loss + ε·loss of the swapped pair."""
    trees = preferences()
    wanted = 0.8 * oracle.loss(trees, ["sigmoid"], 0.1) + 0.2 * oracle.loss(swapped(trees), ["sigmoid"], 0.1)
    agree(oracle, oracle.ours(DirectPreference(label_smoothing=0.2), trees)[0], wanted)


def test_the_sft_term_is_that_of_trl_pair_by_pair(oracle: Oracle) -> None:
    """TRL means over the tokens of a batch, we over pairs of token means: the same thing in a batch of one pair."""
    trees = preferences()
    wanted = torch.stack([oracle.loss([t], ["sigmoid", "sft"], 0.1, [1.0, 0.3]) for t in trees]).mean()
    agree(oracle, oracle.ours(DirectPreference(sft_weight=0.3), trees)[0], wanted)


NAMES = {"chosen": "chosen", "rejected": "rejected", "margin": "margins", "accuracy": "accuracies"}


@pytest.mark.parametrize("kind", ["sigmoid", "hinge"])
def test_reward_metrics_are_those_of_trl(oracle: Oracle, kind: str) -> None:
    trees = preferences()
    _, out = oracle.ours(DirectPreference(0.1, kind), trees)  # type: ignore[arg-type]
    oracle.loss(trees, [kind], 0.1)
    for name, theirs in NAMES.items():
        total, count = out.metrics[f"rewards/{name}"]
        assert float(total / count) == pytest.approx(oracle.metric(f"rewards/{theirs}"), rel=1e-4, abs=1e-5)


def test_log_probabilities_are_those_of_trl_per_token(oracle: Oracle) -> None:
    """TRL logs sums over an answer; ours are means over its tokens, so that length does not hide in them."""
    trees = preferences()
    _, out = oracle.ours(DirectPreference(), trees)
    for number, name in ((1, "chosen"), (2, "rejected")):
        means = []
        for tree in trees:
            oracle.loss([tree], ["sigmoid"], 0.1)
            means.append(oracle.metric(f"logps/{name}") / len(tree.segments[number]))
        total, count = out.metrics[f"logps/{name}"]
        assert float(total / count) == pytest.approx(sum(means) / len(means), rel=1e-4)


def test_ipo_rewards_are_those_of_trl_divided_by_the_length(oracle: Oracle) -> None:
    trees = preferences()
    _, out = oracle.ours(DirectPreference(0.2, "ipo"), trees)
    rewards = []
    for tree in trees:
        oracle.loss([tree], ["ipo"], 0.2)
        rewards.append(
            [oracle.metric(f"rewards/{n}") / len(tree.segments[i]) for i, n in ((1, "chosen"), (2, "rejected"))]
        )
    chosen, rejected = torch.tensor(rewards).mean(0).tolist()
    count = len(trees)
    assert float(out.metrics["rewards/chosen"][0]) / count == pytest.approx(chosen, rel=1e-4)
    assert float(out.metrics["rewards/rejected"][0]) / count == pytest.approx(rejected, rel=1e-4)
    assert float(out.metrics["rewards/margin"][0]) / count == pytest.approx(chosen - rejected, rel=1e-3, abs=1e-5)


def test_the_rows_are_the_same_tokens(oracle: Oracle) -> None:
    """What the parity rests on: the shared trunk is the prompt, and all of both branches is trained."""
    template = ChatTemplate.load(tiny_tokenizer())
    for tree in preferences():
        assert [s.weights.mean() for s in tree.segments] == [0.0, 1.0, 1.0]
        assert template.encoder.decode(tree.segments[0].ids.tolist()).endswith("<|im_start|>assistant\n")
    batch: TreeBatch = pack_trees(preferences())
    assert batch.leaves.tolist() == [[1, 2], [4, 5], [7, 8]]
