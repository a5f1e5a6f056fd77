"""Whether two models compute the same: their log-probabilities on the same fixed prompts are compared.

A model takes part as a log-prob function: from token ids [T] to log-probabilities of the next token after each of them. A
model in this process gives whole distributions [T, V]; a server or another program may give its likeliest tokens only.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch

from medicalgpt.data.records import Message
from medicalgpt.errors import ModelError
from medicalgpt.rendering.template import ChatTemplate

LogProbs = torch.Tensor | Sequence[Mapping[int, float]]
"""After each prompt token: log p of every next token [positions, vocabulary], or token id → log p of some of them (an
empty mapping where there are none). Of a reward model: its score, [1]."""

LogProbFn = Callable[[Sequence[int]], LogProbs]
"""From the token ids of a prompt to a model's log-probabilities."""

_LIKELY = (
    8  # tokens compared at a position, beside the one that stands there; far down in low precision all is rounding
)

_DIALOGUES = (
    (
        "What is a fever, and when should I call a doctor?",
        "A fever is a body temperature of 38 °C or more. Drink enough.",
    ),
    (
        "I take metformin for type 2 diabetes. May I drink alcohol?",
        "Small amounts with food, at most; ask your doctor.",
    ),
    ("高血壓平時要注意什麼？", "少鹽、規律運動、按時服藥，並定期量血壓。"),
    ("孩子发烧两天了，需要去医院吗？", "如果精神差、呼吸急促或体温持续超过39度，请尽快就医。"),
)


@dataclass(frozen=True)
class Difference:
    """How far two models' log-probabilities are apart. `positions` were compared, in `prompts` prompts.

    `max_abs_delta` is the largest |Δ log p| in nats over the first model's likeliest tokens and the one that stands
    there (of reward models: |Δ score|). `mean_kl` is KL(first ‖ second) in nats per position; where the second gives some
    tokens only, the rest counts as one, which makes it a lower bound. `greedy_agreement` is the share of positions with
    the same likeliest token (of reward models: the same sign).
    """

    max_abs_delta: float
    mean_kl: float | None
    greedy_agreement: float
    positions: int
    prompts: int

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)


def probe_prompts(vocabulary: int, template: ChatTemplate | None = None) -> list[list[int]]:
    """The fixed prompts: token sequences that fit any vocabulary and, with a template, short medical dialogues."""
    rng = np.random.default_rng(0)
    prompts = [rng.integers(0, vocabulary, length).tolist() for length in (5, 16, 33)]
    if template is not None:
        for question, answer in _DIALOGUES:
            ids = template.prompt_ids([Message("user", question)])
            prompts.append([*ids, *template.tokenizer(answer, add_special_tokens=False)["input_ids"]])
    for ids in prompts:
        if max(ids) >= vocabulary:
            raise ModelError(
                f"the tokenizer gives token {max(ids)}, but the model knows {vocabulary} tokens only: it is the tokenizer "
                "of another vocabulary. Use the one that the model was trained with"
            )
    return prompts


def collect(logprob_fn: LogProbFn, prompts: Sequence[Sequence[int]]) -> list[LogProbs]:
    """The log-probabilities of each prompt, to be compared once the model is gone. Keep few prompts: whole distributions are kept."""
    return [logprob_fn(ids) for ids in prompts]


def compare(first: Sequence[LogProbs], second: LogProbFn, prompts: Sequence[Sequence[int]]) -> Difference:
    """Compare the collected log-probabilities of one model with a second one.

    Args:
        first: whole distributions (or scores), from `collect`.

    Raises:
        ModelError: an answer of the wrong shape, or nothing that could be compared.
    """
    gaps, kls, agree = [], [], []
    for ids, reference in zip(prompts, first, strict=True):
        if not isinstance(reference, torch.Tensor):
            raise ModelError("the first of two models compared has to give whole distributions")
        expected = second(ids)
        if reference.dim() == 1:
            part = _scores(reference, expected)
        elif isinstance(expected, torch.Tensor):
            part = _whole(reference, expected, ids)
        else:
            part = _some(reference, expected, ids)
        gaps.append(part[0])
        kls.append(part[1])
        agree.append(part[2])
    gap, same, kl = torch.cat(gaps), torch.cat(agree), [k for k in kls if k is not None]
    if not len(gap) or not len(same):
        raise ModelError("no position could be compared: the second model gave no log-probability of a likely token")
    # A NaN must come out as a NaN, not vanish in a maximum.
    worst = float("nan") if gap.isnan().any() else float(gap.max())
    return Difference(
        worst, float(torch.cat(kl).mean()) if kl else None, float(same.float().mean()), len(same), len(prompts)
    )


_Part = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]


def _scores(first: torch.Tensor, second: LogProbs) -> _Part:
    if not isinstance(second, torch.Tensor) or second.shape != first.shape:
        raise ModelError("a reward model can be compared with another reward model only")
    first, second = first.float().cpu(), second.float().cpu()
    return (first - second).abs(), None, (first > 0) == (second > 0)


def _whole(first: torch.Tensor, second: torch.Tensor, ids: Sequence[int]) -> _Part:
    if second.dim() != 2 or len(second) != len(ids) or len(first) != len(ids):
        raise ModelError(f"expected [{len(ids)}, vocabulary] log-probabilities, got {tuple(second.shape)}")
    # Families and formats pad their vocabulary to different widths; ids beyond the narrower one exist in no tokenizer.
    width = min(first.shape[1], second.shape[1])
    p, q = first[:, :width].float().cpu(), second[:, :width].float().cpu()
    gap = (p - q).abs()
    likely = gap.gather(1, p.topk(min(_LIKELY, width), 1).indices).flatten()
    there = gap[:-1].gather(1, torch.tensor(ids[1:], dtype=torch.long)[:, None]).flatten()
    # Of two equal models rounding can leave a sum just below zero.
    kl = torch.where(p.exp() > 0, p.exp() * (p - q), 0.0).sum(1).clamp_min(0)
    return torch.cat((likely, there)), kl, p.argmax(1) == q.argmax(1)


def _some(first: torch.Tensor, second: Sequence[Mapping[int, float]], ids: Sequence[int]) -> _Part:
    """Compare with a log-prob function that names some tokens at each position."""
    if len(second) != len(ids):
        raise ModelError(f"expected log-probabilities after each of {len(ids)} tokens, got {len(second)} positions")
    first = first.float().cpu()
    gaps, kls, same = [], [], []
    for at, named in enumerate(second):
        named = {token: logp for token, logp in named.items() if token < first.shape[1]}
        if not named:
            continue
        row = first[at]
        wanted = {*row.topk(min(_LIKELY, len(row))).indices.tolist(), *ids[at + 1 : at + 2]}
        gaps += [abs(float(row[token]) - named[token]) for token in wanted & named.keys()]
        kls.append(_lumped_kl([float(row[t]) for t in named], list(named.values())))
        same.append(int(row.argmax()) == max(named, key=named.__getitem__))
    return torch.tensor(gaps), torch.tensor(kls), torch.tensor(same, dtype=torch.bool)


def _lumped_kl(first: Sequence[float], second: Sequence[float]) -> float:
    """KL over the named tokens, and all others as one."""
    p, q = [math.exp(x) for x in first], [math.exp(x) for x in second]
    rest_p, rest_q = max(1 - sum(p), 1e-9), max(1 - sum(q), 1e-9)
    named = sum(a * (x - y) for a, x, y in zip(p, first, second))
    return max(0.0, named + rest_p * math.log(rest_p / rest_q))
