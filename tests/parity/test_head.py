"""The chunked head gives the numbers and gradients of full logits and autograd, without ever holding full logits."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.tiny import tiny_model
from tests.trees import PAIR, THREE_LEVELS, assert_same_gradients, gradients, grow, logps_alone

from medicalgpt.kernels.entropy import token_distribution
from medicalgpt.kernels.head import Head, token_logps, weighted_nll
from medicalgpt.kernels.known_tokens import KnownTokens
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.rendering.batch import pad_trees

ROWS, WIDTH, VOCABULARY = 23, 12, 31
CHUNKS = [1, 7, 23, 512]  # one row, an uneven rest, exactly all, more than there are
FORMS = {
    "plain": {},
    "bias": {"bias": True},
    "scale": {"scale": 0.25},
    "softcap": {"softcap": 3.0},
    "temperature": {"temperature": 0.6},
    "all": {"bias": True, "scale": 1.7, "softcap": 5.0, "temperature": 1.4},
}


class Case:
    """Random states, targets and weights, and the logits written out as the formula says."""

    def __init__(
        self,
        bias: bool = False,
        scale: float = 1.0,
        softcap: float | None = None,
        rows: int = ROWS,
        temperature: float = 1.0,
    ) -> None:
        random = torch.Generator().manual_seed(0)
        self.hidden = torch.randn(rows, WIDTH, generator=random, requires_grad=True)
        self.weight = torch.randn(VOCABULARY, WIDTH, generator=random, requires_grad=True)
        self.bias = torch.randn(VOCABULARY, generator=random, requires_grad=True) if bias else None
        self.scale, self.softcap, self.temperature = scale, softcap, temperature
        self.targets = torch.randint(0, VOCABULARY, (rows,), generator=random)
        self.weights = torch.rand(rows, generator=random)
        self.coefficients = torch.randn(rows, generator=random)

    @property
    def head(self) -> Head:
        return Head(self.weight, self.bias, self.scale, self.softcap, self.temperature)

    @property
    def leaves(self) -> list[torch.Tensor]:
        return [t for t in (self.hidden, self.weight, self.bias) if t is not None]

    def logits(self) -> torch.Tensor:
        z = self.hidden @ self.weight.T
        z = (z + self.bias if self.bias is not None else z) * self.scale
        z = self.softcap * torch.tanh(z / self.softcap) if self.softcap else z
        return z / self.temperature

    def logps(self) -> torch.Tensor:
        return torch.log_softmax(self.logits(), -1)[torch.arange(len(self.targets)), self.targets]


def compare(case: Case, found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    ours, theirs = torch.autograd.grad(found, case.leaves), torch.autograd.grad(wanted, case.leaves)
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("form", FORMS)
def test_token_logps_equal_full_logits(form: str, chunk: int) -> None:
    case = Case(**FORMS[form])  # type: ignore[arg-type]
    logps, hits = token_logps(case.hidden, case.head, case.targets, chunk)
    torch.testing.assert_close(logps, case.logps(), rtol=1e-5, atol=1e-5)
    assert hits.tolist() == (case.logits().argmax(-1) == case.targets).tolist()
    compare(case, (logps * case.coefficients).sum(), (case.logps() * case.coefficients).sum())


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("form", FORMS)
def test_weighted_nll_equals_full_logits(form: str, chunk: int) -> None:
    case = Case(**FORMS[form])  # type: ignore[arg-type]
    loss, logps, hits = weighted_nll(case.hidden, case.head, case.targets, case.weights, chunk)
    torch.testing.assert_close(logps, case.logps().detach(), rtol=1e-5, atol=1e-5)
    assert hits.tolist() == (case.logits().argmax(-1) == case.targets).tolist()
    assert not logps.requires_grad
    # A factor in front, as the trainer puts one, reaches the gradients.
    compare(case, loss * 0.3, -(case.logps() * case.weights).sum() * 0.3)


# -- rows that stand for no token --------------------------------------------------------------------------------------
KNOWN = {
    "tail": KnownTokens(25),
    "holes": KnownTokens(VOCABULARY, (0, 3, 30)),
    "tail and holes": KnownTokens(20, (1, 2, 19)),
}


@pytest.mark.parametrize("what", ["logps", "nll", "distribution"])
@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize("form", FORMS)
def test_ids_without_a_token_have_no_share(form: str, known: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers and gradients are those of a head that has the other rows only."""
    monkeypatch.setattr("medicalgpt.kernels.known_tokens._ROUND", 4)  # so that a part of the tail is cut off
    case = Case(**FORMS[form])  # type: ignore[arg-type]
    ids = torch.tensor(KNOWN[known].ids)
    case.targets = ids[case.targets % len(ids)]
    head = replace(case.head, known=KNOWN[known])
    logits = case.logits()[:, ids]
    places = torch.searchsorted(ids, case.targets)
    wanted = torch.log_softmax(logits, -1)
    picked = wanted.gather(1, places[:, None])[:, 0]
    if what == "nll":
        found, logps, hits = weighted_nll(case.hidden, head, case.targets, case.weights, 7)
        compare(case, found, -(picked * case.weights).sum())
    elif what == "logps":
        logps, hits = token_logps(case.hidden, head, case.targets, 7)
        compare(case, (logps * case.coefficients).sum(), (picked * case.coefficients).sum())
    else:
        entropies = -(wanted.exp() * wanted).sum(-1)
        expected = (picked * case.coefficients + entropies * case.weights).sum()
        for frozen in (False, True):  # a head that learns goes through autograd
            case.weight.requires_grad_(not frozen)
            if case.bias is not None:
                case.bias.requires_grad_(not frozen)
            logps, entropy = token_distribution(case.hidden, head, case.targets, 7)
            total = (logps * case.coefficients + entropy * case.weights).sum()
            (grad,) = torch.autograd.grad(total, case.hidden, retain_graph=True)
            (theirs,) = torch.autograd.grad(expected, case.hidden, retain_graph=True)
            torch.testing.assert_close(total, expected, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(grad, theirs, rtol=1e-4, atol=1e-5)
        return
    torch.testing.assert_close(logps, picked, rtol=1e-5, atol=1e-5)
    assert hits.tolist() == (logits.argmax(-1) == places).tolist()


def test_hits_are_counted() -> None:
    case = Case()
    best = case.logits().argmax(-1)
    assert token_logps(case.hidden, case.head, best)[1].all()
    assert not weighted_nll(case.hidden, case.head, (best + 1) % VOCABULARY, case.weights)[2].any()


@pytest.mark.parametrize("trained", ["hidden", "weight", "bias"])
def test_only_what_is_trained_gets_a_gradient(trained: str) -> None:
    case = Case(bias=True)
    for name in ("hidden", "weight", "bias"):
        getattr(case, name).requires_grad_(name == trained)
    leaf, wanted = getattr(case, trained), (case.logps() * case.weights).sum()
    for found in (
        -weighted_nll(case.hidden, case.head, case.targets, case.weights, 5)[0],
        (token_logps(case.hidden, case.head, case.targets, 5)[0] * case.weights).sum(),
    ):
        (expected,) = torch.autograd.grad(wanted, leaf, retain_graph=True)
        found.backward()
        torch.testing.assert_close(leaf.grad, expected, rtol=1e-4, atol=1e-5)
        assert all(getattr(case, n).grad is None for n in ("hidden", "weight", "bias") if n != trained)
        leaf.grad = None


def test_no_positions_give_a_zero_loss_with_zero_gradients() -> None:
    """A filler row of a distributed run: nothing to learn, but every rank must run the same backward pass."""
    case = Case(bias=True, rows=0)
    loss, logps, hits = weighted_nll(case.hidden, case.head, case.targets, case.weights)
    assert (loss.item(), len(logps), len(hits)) == (0.0, 0, 0)
    summed = token_logps(case.hidden, case.head, case.targets)[0].sum()
    for total in (loss, summed):
        for gradient, leaf in zip(torch.autograd.grad(total, case.leaves), case.leaves):
            assert gradient.shape == leaf.shape
            assert not gradient.any()


def test_bfloat16_weights_stay_close_to_fp32() -> None:
    case, plain = Case(bias=True, softcap=5.0), Case(bias=True, softcap=5.0)
    head = Head(case.weight.bfloat16(), case.bias.bfloat16(), 1.0, 5.0)  # type: ignore[union-attr]
    found, logps, _ = weighted_nll(case.hidden, head, case.targets, case.weights, 7)
    wanted = -(plain.logps() * plain.weights).sum()
    assert logps.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=0.02, atol=0.02)  # bf16 keeps 8 bits: 2^-8 = 0.004 per logit
    for a, b in zip(torch.autograd.grad(found, case.leaves), torch.autograd.grad(wanted, plain.leaves)):
        assert (a - b).norm() < 0.02 * b.norm()


def test_full_logits_never_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    largest: list[int] = []
    plain = Head.logits

    def watched(self: Head, hidden: torch.Tensor) -> torch.Tensor:
        largest.append(len(hidden))
        return plain(self, hidden)

    monkeypatch.setattr(Head, "logits", watched)
    case = Case()
    weighted_nll(case.hidden, case.head, case.targets, case.weights, 5)[0].backward()
    assert largest == [5, 5, 5, 5, 3]  # 23 rows once: the head's own gradient needs no second pass
    largest.clear()
    token_logps(case.hidden, case.head, case.targets, 5)[0].sum().backward()
    assert largest == [5, 5, 5, 5, 3] * 2  # coefficients come later, so a trained head computes its logits again


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", ["llama", "cohere", "gemma2"])
def test_tied_embeddings_collect_both_gradients(kind: str, tied: bool) -> None:
    def model() -> Any:
        built = tiny_model(kind, tie_word_embeddings=tied)
        built.set_attn_implementation("eager")
        return built

    ours, own = model(), model()
    assert (ours.get_output_embeddings().weight is ours.get_input_embeddings().weight) == tied
    trees = [grow(shape, ours.config.vocab_size, seed) for seed, shape in enumerate((PAIR, THREE_LEVELS))]
    logps, weights = logps_alone(own, trees)
    wanted, found = -(logps * weights).sum(), CausalPolicy(ours, "padded").nll(pad_trees(trees))[0]
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    assert_same_gradients(gradients(ours, found), gradients(own, wanted))
