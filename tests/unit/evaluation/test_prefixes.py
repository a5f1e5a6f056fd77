"""Prefix trees of answers give each answer the log-likelihood that it has alone, in any packing."""

import numpy as np
import pytest
import torch
from tests.tiny import tiny_model

from medicalgpt.evaluation.continuations import Continuation
from medicalgpt.evaluation.prefixes import PrefixTree, bundles, in_rows, in_tree
from medicalgpt.kernels.attention import enable
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.probe import probe


def paths(seed: int = 0) -> list[Continuation]:
    """Two groups with worked examples in common; answers of one and of several tokens, one of which begins another."""
    rng = np.random.default_rng(seed)
    draw = lambda n: rng.integers(5, 300, n).astype(np.int32)  # noqa: E731
    shots = draw(20)
    found = []
    for _ in range(3):
        prompt = np.concatenate([shots, draw(7)])
        long = draw(4)
        answers = [np.int32([7]), np.int32([9]), np.concatenate([np.int32([7]), long]), long]
        found += [Continuation(np.concatenate([prompt, a]), len(prompt), 1) for a in answers]
    other = draw(11)
    return [*found, Continuation(other, 6, 1), Continuation(other[:8], 6, 1)]


def alone(model: torch.nn.Module, path: Continuation) -> float:
    with torch.no_grad():
        logits = model(torch.from_numpy(path.ids).long()[None]).logits[0].double().log_softmax(-1)
    places = range(path.start, len(path.ids))
    return float(sum(logits[i - 1, int(path.ids[i])] for i in places))


def sums(policy: CausalPolicy, asked: object, count: int) -> np.ndarray:
    out = np.zeros(count)
    np.add.at(out, asked.owner, policy.candidates(asked.batch, asked.states, asked.targets).double().numpy())  # type: ignore[attr-defined]
    return out


@pytest.mark.parametrize("kind", ["llama", "qwen3", "mistral", "gemma2", "bloom", "mamba"])
def test_answers_have_the_likelihoods_that_they_have_alone(kind: str) -> None:
    model = tiny_model(kind)
    enable(model)
    found = probe(model)
    assert (found.batching == "tree") == (kind not in ("bloom", "mamba"))
    policy = CausalPolicy(model, found.batching, found.chunked_head).eval()
    mine = paths()
    asked = in_tree(mine) if found.batching == "tree" else in_rows(mine, 0)
    expected = np.array([alone(tiny_model(kind), path) for path in mine])
    np.testing.assert_allclose(sums(policy, asked, len(mine)), expected, rtol=1e-5, atol=1e-4)


def test_padded_rows_say_the_same_as_trees() -> None:
    model = tiny_model()
    enable(model)
    assert probe(model).batching == "tree"
    policy = CausalPolicy(model, "tree").eval()
    padded = CausalPolicy(tiny_model(), "padded").eval()
    mine = paths(1)
    a, b = sums(policy, in_tree(mine), len(mine)), sums(padded, in_rows(mine, 0), len(mine))
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-4)


def test_what_paths_share_is_computed_once_and_last_tokens_are_not_read() -> None:
    tree = PrefixTree()
    for path in paths()[:12]:
        tree.add(path.ids[:-1])
    # 20 shared; three times 7 of the question, "7" with three of the long answer, and the long answer without its last.
    assert tree.tokens == 20 + 3 * (7 + 4 + 3)
    assert in_tree(paths()[:12]).batch.tokens == tree.tokens


def test_a_letter_costs_nothing_beside_its_prompt() -> None:
    prompt = np.arange(10, 30, dtype=np.int32)
    letters = [Continuation(np.append(prompt, x).astype(np.int32), 20, 1) for x in (1, 2, 3, 4)]
    asked = in_tree(letters)
    assert asked.batch.tokens == 20
    assert asked.batch.at.tolist() == [19]  # one state predicts all four
    assert in_rows(letters, 0).batch.input_ids.shape == (1, 20)


def test_bundles_close_at_their_capacity_and_lose_nothing() -> None:
    mine = paths()[:12]
    groups = [(number, mine[4 * number : 4 * number + 4]) for number in range(3)]
    assert list(bundles(groups, 1)) == [[0], [1], [2]]
    assert list(bundles(groups, 40)) == [[0, 1], [2]]  # 34 tokens, then 48
    assert list(bundles(groups, 10_000)) == [[0, 1, 2]]
    assert list(bundles([], 10)) == []


@pytest.mark.parametrize("seed", range(20))
def test_places_lead_back_to_the_paths(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tree, mine = PrefixTree(), []
    for _ in range(30):
        path = rng.integers(1, 3, rng.integers(1, 12)).astype(np.int32)
        tree.add(path)
        mine.append(path)
    layout = tree.laid_out()
    assert len(layout.ids) == tree.tokens == len({p[:n].tobytes() for p in mine for n in range(1, len(p) + 1)})
    for path in mine:
        places = layout.places(path)
        assert layout.ids[places].tolist() == path.tolist()
        assert layout.positions[places].tolist() == list(range(len(path)))
    for span in layout.spans:
        assert all(layout.spans[a].end <= span.start for a in span.ancestors)
