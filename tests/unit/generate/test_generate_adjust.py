"""Bias, penalties and min-p against numbers worked out by hand, and against a neighbor's row."""

from dataclasses import dataclass, field, replace
from random import Random

import pytest
import torch
from tests.serving import engine_of

from medicalgpt.errors import ServeError
from medicalgpt.generate.backends.adjust import adjust, keep_likely
from medicalgpt.generate.backends.decoder.draw import next_tokens
from medicalgpt.generate.sampling import Sampling

LOGITS = (2.0, -1.0, 0.0, 1.0)


@dataclass
class Row:
    """Token 1 stands in the prompt; 0, 0 and 3 in the answer, unless told otherwise."""

    sampling: Sampling
    tokens: list[int] = field(default_factory=lambda: [0, 0, 3])
    prompt: tuple[int, ...] = (1,)
    random: Random = field(default_factory=lambda: Random(0))

    @property
    def seen(self) -> list[int]:
        return list(dict.fromkeys([*self.prompt, *self.tokens]))


class Fixed(Random):
    """Draws at one place of the distribution."""

    def __init__(self, number: float) -> None:
        super().__init__(0)
        self.number = number

    def random(self) -> float:
        return self.number


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # Only the answer counts: token 0 twice, token 3 once, token 1 of the prompt not at all.
        ({"frequency_penalty": 0.5}, (1.0, -1.0, 0.0, 0.5)),
        ({"presence_penalty": 0.5}, (1.5, -1.0, 0.0, 0.5)),
        ({"frequency_penalty": 0.5, "presence_penalty": 0.25}, (0.75, -1.0, 0.0, 0.25)),
        ({"frequency_penalty": -1.0}, (4.0, -1.0, 0.0, 2.0)),
        # The prompt counts, too: positive logits are divided, negative ones multiplied.
        ({"repetition_penalty": 2.0}, (1.0, -2.0, 0.0, 0.5)),
        ({"logit_bias": ((2, 1.5), (0, -100.0))}, (-98.0, -1.0, 1.5, 1.0)),
        # Bias, then repetition, then frequency and presence: (2 + 2) / 2 − 2 · ½ − ¼, (−1 − 1) · 2, 0, 1 / 2 − ½ − ¼.
        (
            {
                "logit_bias": ((0, 2.0), (1, -1.0)),
                "repetition_penalty": 2.0,
                "frequency_penalty": 0.5,
                "presence_penalty": 0.25,
            },
            (0.75, -4.0, 0.0, -0.25),
        ),
    ],
)
def test_logits_are_those_worked_out_by_hand(settings: dict, expected: tuple[float, ...]) -> None:
    logits = torch.tensor([LOGITS])
    adjust(logits, [Row(Sampling(**settings))], [])
    assert logits.tolist() == [list(expected)]


def test_what_was_ruled_out_stays_so_whatever_its_bias() -> None:
    logits = torch.tensor([[0.0, float("-inf")]])
    adjust(logits, [Row(Sampling(logit_bias=((1, 100.0),)), [], ())], [])
    assert logits.tolist() == [[0.0, float("-inf")]]


def test_a_history_changes_its_own_row_only() -> None:
    logits = torch.tensor([LOGITS, LOGITS, LOGITS])
    sampling = Sampling(frequency_penalty=1.0)
    adjust(logits, [Row(sampling, []), Row(sampling, [3, 3]), Row(sampling, [2])], [])
    assert logits.tolist() == [[2, -1, 0, 1], [2, -1, 0, -1], [2, -1, -1, 1]]


@pytest.mark.parametrize(("min_p", "kept"), [(0.0, 4), (0.09, 4), (0.29, 3), (0.31, 2), (0.61, 1), (1.0, 1)])
def test_min_p_keeps_what_is_likely_beside_the_likeliest(min_p: float, kept: int) -> None:
    # Beside ½ the others have shares of 0.6, 0.3 and 0.1.
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    assert torch.isfinite(keep_likely(logits, min_p)).tolist() == [[i < kept for i in range(4)]]
    assert torch.isfinite(keep_likely(logits + 7, min_p)).sum() == kept


def test_min_p_comes_before_top_p() -> None:
    # Of ½ and 0.3, which min-p leaves, the first has 0.625 and is enough for top-p; before min-p it would not be (½ < 0.6).
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    both = Sampling(temperature=1.0, min_p=0.5, top_p=0.6)
    assert next_tokens(logits.clone(), [Row(both, [], (), Fixed(0.999))], []) == [0]
    assert next_tokens(logits.clone(), [Row(Sampling(temperature=1.0, top_p=0.6), [], (), Fixed(0.999))], []) == [1]
    assert next_tokens(logits.clone(), [Row(Sampling(temperature=1.0, min_p=0.5), [], (), Fixed(0.999))], []) == [1]


def test_min_p_is_measured_after_temperature() -> None:
    # At temperature 2 the shares beside ½ are √0.6, √0.3 and √0.1: 0.775, 0.548, 0.316.
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    warm = Sampling(temperature=2.0, min_p=0.5)
    assert next_tokens(logits.clone(), [Row(warm, [], (), Fixed(0.999))], []) == [2]


def test_rows_of_different_rules_are_drawn_as_alone() -> None:
    rules = [
        {},
        {"frequency_penalty": 1.5},
        {"presence_penalty": 1.5},
        {"logit_bias": ((7, 3.0),)},
        {"min_p": 0.2},
        {"logit_bias": ((7, 4.0),)},
    ]
    logits = torch.randn(12, 50, generator=torch.Generator().manual_seed(3)) * 2

    def rows() -> list[Row]:
        made = [Sampling(temperature=1.0, **rules[i % 6]) for i in range(12)]  # type: ignore[arg-type]
        return [Row(sampling, [i, i, 49], (1,), Random(i)) for i, sampling in enumerate(made)]

    alone = [next_tokens(logits[[i]].clone(), [row], [])[0] for i, row in enumerate(rows())]
    assert next_tokens(logits.clone(), rows(), []) == alone


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"min_p": 1.5}, r"min_p is 1.5; allowed: 0 \(off\) to 1"),
        ({"frequency_penalty": 2.5}, "frequency_penalty is 2.5; allowed: -2 to 2"),
        ({"presence_penalty": float("nan")}, "presence_penalty is nan"),
        ({"presence_penalty": "1"}, "presence_penalty is a str"),
        ({"logit_bias": ((5, 101.0),)}, "logit_bias: a bias is 101.0; allowed: -100 to 100"),
        ({"logit_bias": ((-5, 1.0),)}, "logit_bias: a token id is -5"),
        ({"logit_bias": ((5, 1.0), (5, 2.0))}, "logit_bias names a token twice"),
        ({"logit_bias": (("5", 1.0),)}, "logit_bias: a token id is a str"),
        ({"logit_bias": tuple((i, 1.0) for i in range(1025))}, "logit_bias has 1025 tokens; allowed: at most 1024"),
    ],
)
def test_wrong_settings_are_named(wrong: dict, message: str) -> None:
    with pytest.raises(ServeError, match=message):
        Sampling(**wrong)


def test_a_bias_for_what_is_no_token_is_refused() -> None:
    engine = engine_of()
    with pytest.raises(ServeError, match="logit_bias: 99999 is no token of this model; allowed: ids from 0 to"):
        engine.chat("a", Sampling(2, logit_bias=((99999, 1.0),)))


@pytest.mark.parametrize("kind", ["llama", "bloom"])
def test_an_answer_obeys_on_both_backends(kind: str) -> None:
    engine = engine_of(kind)
    plain = engine.chat("What is a fever?", Sampling(12))
    first = plain.token_ids[0]
    other = engine.chat("What is a fever?", Sampling(12, logit_bias=((first, -100.0),)))
    assert first not in other.token_ids
    forced = engine.chat("What is a fever?", Sampling(6, logit_bias=((9, 100.0),)))
    assert forced.token_ids == [9] * 6
    pushed = Sampling(20, logit_bias=((9, 8.0),))
    often, seldom = (
        engine.chat("What is a fever?", how).token_ids.count(9)
        for how in (pushed, replace(pushed, frequency_penalty=2.0))
    )
    assert often > seldom > 0
    sampled = Sampling(12, temperature=1.5, seed=3, min_p=1.0)
    assert engine.chat("What is a fever?", sampled).token_ids == plain.token_ids
