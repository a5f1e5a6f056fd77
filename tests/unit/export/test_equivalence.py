"""Comparing two log-prob functions: numbers derived by hand, partial ones, and what must be refused."""

import math

import pytest
import torch
from tests.tiny import tiny_model, tiny_tokenizer

from medicalgpt.errors import ModelError
from medicalgpt.export.equivalence import collect, compare, probe_prompts
from medicalgpt.export.logprobs import language_logprobs
from medicalgpt.rendering.template import ChatTemplate

LN = math.log


def always(rows: list[list[float]]) -> torch.Tensor:
    return torch.tensor(rows).log()


def test_numbers_of_two_distributions_are_those_derived_by_hand() -> None:
    first, second = always([[0.5, 0.25, 0.25], [0.8, 0.1, 0.1]]), always([[0.25, 0.5, 0.25], [0.8, 0.1, 0.1]])
    found = compare([first], lambda ids: second, [[0, 1]])
    assert found.max_abs_delta == pytest.approx(LN(2), rel=1e-6)
    # KL of the first row: 0.5 ln 2 + 0.25 ln 0.5; of the second: 0.
    assert found.mean_kl == pytest.approx((0.25 * LN(2)) / 2, rel=1e-5)
    assert (found.greedy_agreement, found.positions, found.prompts) == (0.5, 2, 1)


def test_a_logprob_fn_that_names_some_tokens_is_compared_on_those() -> None:
    first = always([[0.5, 0.25, 0.25], [0.8, 0.1, 0.1]])
    said = [{0: LN(0.4), 1: LN(0.25)}, {}]
    found = compare([first], lambda ids: said, [[0, 1]])
    assert found.max_abs_delta == pytest.approx(LN(0.5 / 0.4), rel=1e-6)
    # Tokens 0 and 1 by name, the rest (0.25 against 0.35) as one.
    assert found.mean_kl == pytest.approx(0.5 * LN(0.5 / 0.4) + 0.25 * LN(0.25 / 0.35), rel=1e-5)
    assert (found.greedy_agreement, found.positions) == (1.0, 1), "the position without a word does not count"


def test_the_partial_view_of_a_model_agrees_with_the_whole_one() -> None:
    model, other = tiny_model(), tiny_model(seed=1)
    prompts = probe_prompts(300)
    heard = collect(language_logprobs(model), prompts)

    def top(ids: list[int]) -> list[dict[int, float]]:
        rows = language_logprobs(other)(ids)
        return [dict(zip(r.indices.tolist(), r.values.tolist())) for r in (row.topk(20) for row in rows)]

    whole, partly = compare(heard, language_logprobs(other), prompts), compare(heard, top, prompts)  # type: ignore[arg-type]
    assert partly.greedy_agreement == whole.greedy_agreement < 1
    assert partly.mean_kl is not None
    assert 0 < partly.mean_kl <= whole.mean_kl  # type: ignore[operator]
    same = compare(heard, language_logprobs(model), prompts)
    assert (same.max_abs_delta, same.greedy_agreement) == (0.0, 1.0)


def test_scores_are_compared_by_distance_and_sign() -> None:
    found = compare([torch.tensor([1.0]), torch.tensor([-0.1])], lambda ids: torch.tensor([0.5]), [[1], [2]])
    assert found.max_abs_delta == pytest.approx(0.6)
    assert (found.mean_kl, found.greedy_agreement, found.positions) == (None, 0.5, 2)


def test_a_wider_vocabulary_is_padding() -> None:
    first = always([[0.5, 0.5]])
    wider = torch.cat((first, torch.full((1, 3), -60.0)), 1)
    assert compare([first], lambda ids: wider, [[1]]).max_abs_delta == 0


def test_nan_is_not_within_any_limit() -> None:
    first = always([[0.5, 0.5]])
    found = compare([first], lambda ids: torch.full((1, 2), math.nan), [[1]])
    assert math.isnan(found.max_abs_delta)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (torch.zeros(3, 2), r"expected \[1, vocabulary\]"),
        ([{}, {}], "1 tokens, got 2 positions"),
        ([{}], "no position could be compared"),
    ],
)
def test_answers_of_the_wrong_shape_are_refused(said: object, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        compare([always([[0.5, 0.5]])], lambda ids: said, [[1]])  # type: ignore[arg-type,return-value]


def test_prompts_hold_medical_dialogues_and_are_the_same_every_time() -> None:
    template = ChatTemplate.load(tiny_tokenizer())
    prompts = probe_prompts(len(tiny_tokenizer()), template)
    assert prompts == probe_prompts(len(tiny_tokenizer()), template)
    text = tiny_tokenizer().decode(prompts[-1])
    assert "孩子发烧两天了" in text
    assert "及时" in text or "尽快就医" in text
    assert max(max(ids) for ids in probe_prompts(50)) < 50


def test_a_tokenizer_of_another_vocabulary_is_named() -> None:
    with pytest.raises(ModelError, match="the model knows 40 tokens only: it is the tokenizer of another vocabulary"):
        probe_prompts(40, ChatTemplate.load(tiny_tokenizer()))
