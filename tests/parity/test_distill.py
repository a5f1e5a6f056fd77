"""Distillation against TRL 1.16's GKD trainer and against full logits: the same loss and the same gradients."""

import copy
from typing import Any

import pytest
import torch
from tests.tiny import tiny_model

from medicalgpt.kernels.attention import enable
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.probe import probe_trees
from medicalgpt.objectives.distill import Distillation, divergence
from medicalgpt.rendering.batch import pack_trees, pad_trees

gkd = pytest.importorskip("trl.experimental.gkd.gkd_trainer")

KINDS = {"forward_kl": 0.0, "reverse_kl": 1.0, "jensen_shannon": 0.3}  # ours, and TRL's beta


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "beta"), KINDS.items())
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_divergence_is_that_of_trl(kind: Any, beta: float, temperature: float) -> None:
    generator = torch.Generator().manual_seed(1)
    ours = torch.randn(1, 9, 50, generator=generator).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    teacher = torch.randn(1, 9, 50, generator=generator)
    labels = torch.zeros(1, 9, dtype=torch.long)
    reference = gkd.GKDTrainer.generalized_jsd_loss(theirs, teacher, labels, beta=beta, temperature=temperature)
    student_logp, teacher_logp = (torch.log_softmax(x[0] / temperature, -1) for x in (ours, teacher))
    mine = divergence(student_logp, teacher_logp, kind, 0.3).mean()
    assert mine.item() == pytest.approx(reference.item(), abs=1e-5)
    mine.backward()
    reference.backward()
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize("family", ["llama", "gemma2", "bloom"])
@pytest.mark.parametrize("trained_head", [False, True])
def test_chunks_of_states_give_the_loss_of_full_logits(family: str, trained_head: bool) -> None:
    student, teacher = tiny_model(family, 0, 2.0), tiny_model(family, 1, 2.0)
    plain, batch = copy.deepcopy(student), pad_trees(probe_trees(400))
    policy = CausalPolicy(student, "padded", chunked_head=family != "bloom")
    policy.learn_from(CausalPolicy(teacher, "padded", chunked_head=family != "bloom").requires_grad_(False))
    for model in (student, plain):
        model.get_output_embeddings().weight.requires_grad_(trained_head)
    out = Distillation("jensen_shannon", 0.4).loss(policy, batch)
    rows = []
    for model in (plain, teacher):
        logits = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
        rows.append(torch.log_softmax(logits.reshape(-1, logits.shape[-1])[batch.at], -1))
    wanted = divergence(rows[0], rows[1].detach(), "jensen_shannon", 0.4).sum()
    assert out.sum.item() == pytest.approx(wanted.item(), rel=1e-5)
    out.sum.backward()
    wanted.backward()
    for mine, reference in zip(student.parameters(), plain.parameters()):
        if reference.grad is not None:
            assert mine.grad is not None
            assert torch.allclose(mine.grad, reference.grad, atol=1e-4 * float(reference.grad.abs().max() + 1))


def test_packed_is_padded() -> None:
    trees = probe_trees(400)
    losses = []
    for batching, build in (("tree", pack_trees), ("padded", pad_trees)):
        student, teacher = tiny_model("llama", 0), tiny_model("llama", 1)
        if batching == "tree":
            enable(student)
            enable(teacher)
        policy = CausalPolicy(student, batching)  # type: ignore[arg-type]
        policy.learn_from(CausalPolicy(teacher, batching))  # type: ignore[arg-type]
        losses.append(Distillation("reverse_kl").loss(policy, build(trees)))
    assert losses[0].count == losses[1].count
    assert losses[0].sum.item() == pytest.approx(losses[1].sum.item(), rel=1e-5)
