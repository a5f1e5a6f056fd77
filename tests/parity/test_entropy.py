"""Log-probability and entropy in chunks = full logits and autograd, with every form of head."""

import pytest
import torch
from tests.parity.test_head import CHUNKS, FORMS, Case
from tests.tiny import tiny_model
from tests.trees import PAIR, THREE_LEVELS, assert_same_gradients, gradients, grow

from medicalgpt.kernels import attention
from medicalgpt.kernels.entropy import token_distribution
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.rendering.batch import pack_trees, pad_trees


def written_out(case: Case) -> tuple[torch.Tensor, torch.Tensor]:
    p = torch.softmax(case.logits(), -1)
    return p[torch.arange(len(case.targets)), case.targets].log(), -(p * p.log()).sum(-1)


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("trained", [False, True], ids=["frozen head", "trained head"])
def test_both_numbers_and_gradients_equal_full_logits(form: str, chunk: int, trained: bool) -> None:
    case = Case(**FORMS[form])  # type: ignore[arg-type]
    for leaf in case.leaves[1:]:
        leaf.requires_grad_(trained)
    leaves = [leaf for leaf in case.leaves if leaf.requires_grad]
    found = token_distribution(case.hidden, case.head, case.targets, chunk)
    wanted = written_out(case)
    for a, b in zip(found, wanted):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    # Different coefficients for both outputs: neither gradient may be lost or mixed up.
    losses = [(x[0] * case.coefficients + x[1] * case.weights).sum() for x in (found, wanted)]
    for a, b in zip(*(torch.autograd.grad(loss, leaves) for loss in losses)):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_the_entropy_of_a_uniform_distribution_is_the_logarithm_of_its_size() -> None:
    case = Case()
    found = token_distribution(torch.zeros_like(case.hidden), case.head, case.targets)[1]
    torch.testing.assert_close(found, torch.full_like(found, torch.tensor(31.0).log().item()))


def test_only_one_of_both_may_be_used() -> None:
    case = Case()
    case.weight.requires_grad_(False)
    for number in (0, 1):
        found = token_distribution(case.hidden, case.head, case.targets)[number].sum()
        wanted = written_out(case)[number].sum()
        a, b = (torch.autograd.grad(x, case.hidden)[0] for x in (found, wanted))
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["llama", "gemma2", "cohere"])
def test_a_policy_divides_its_logits_by_the_temperature(kind: str) -> None:
    """The same numbers from the chunked head on packed trees and from the model's own logits on padded ones."""
    model = tiny_model(kind).eval()
    attention.enable(model)
    trees = [grow(shape, 300, i) for i, shape in enumerate((PAIR, THREE_LEVELS))]
    chunked, plain = CausalPolicy(model, "tree"), CausalPolicy(model, "padded", chunked_head=False)
    chunked.temperature = plain.temperature = 0.7
    packed, padded = pack_trees(trees), pad_trees(trees)
    logits = plain.model(input_ids=padded.input_ids, attention_mask=padded.attention_mask).logits
    rows = torch.log_softmax(logits.reshape(-1, logits.shape[-1])[padded.at] / 0.7, -1)
    wanted = rows.gather(1, padded.targets[:, None])[:, 0]
    for policy, batch in ((chunked, packed), (plain, padded)):
        found, entropy = policy.distribution(batch)
        torch.testing.assert_close(policy.logps(batch)[0], wanted, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(entropy, -(rows.exp() * rows).sum(-1), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(policy.nll(batch)[0], -(wanted * batch.weights).sum(), rtol=1e-5, atol=1e-5)
    ours, theirs = (gradients(model, p.logps(b)[0].sum()) for p, b in ((chunked, packed), (plain, padded)))
    assert_same_gradients(ours, theirs)
