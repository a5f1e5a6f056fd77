"""Learning from answers on a base with rows beyond its tokenizer: one distribution for all, that of the tokens."""

import math
from pathlib import Path

import pytest
import torch
from tests.rl import Pieces, config, pieces, words
from tests.stages import Bench
from tests.tiny import cut_model, tiny_tokenizer, wide_model

from medicalgpt.config.loader import load
from medicalgpt.config.lookup import stage_schema

TOKENS = len(tiny_tokenizer())


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bench]:
    """The same model twice, with and without the rows that no token has."""
    wide = wide_model()
    found = {}
    for name, model in (("wide", wide), ("cut", cut_model(wide))):
        found[name] = Bench.set_up(tmp_path_factory.mktemp(name))
        model.save_pretrained(found[name].base)
    return found


def first_update(benches: dict[str, Bench], which: str, out: Path, stage: str, *overrides: str) -> Pieces:
    return pieces(config(benches[which], stage, out, "rollout.temperature=0.8", *overrides))


WAYS = {
    "lora": ("lora.enabled=true",),
    "full": ("lora.enabled=false",),
    "a head that learns": ("lora.enabled=true", "lora.target_modules=[q_proj, lm_head]"),
    "padded": ("train.batching=padded",),
}


@pytest.mark.parametrize(
    ("stage", "way"),
    [("ppo", "lora"), ("grpo", "padded"), ("grpo", "a head that learns"), ("rloo", "full")],
)
def test_ratios_begin_at_one_and_the_numbers_are_those_without_the_rows(
    benches: dict[str, Bench], tmp_path: Path, stage: str, way: str
) -> None:
    wide, cut = (first_update(benches, which, tmp_path / which, stage, *WAYS[way]) for which in ("wide", "cut"))
    answers = [[a.ids for a in g.answers] for g in wide.groups]
    assert answers == [[a.ids for a in g.answers] for g in cut.groups]
    assert max(i for group in answers for ids in group for i in ids) < TOKENS
    assert float(wide.seen.entropy.max()) <= math.log(TOKENS) + 1e-5
    for mine, theirs in (
        (wide.seen.targets.old, cut.seen.targets.old),
        (wide.seen.reference, cut.seen.reference),
        (wide.seen.entropy, cut.seen.entropy),
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)
    for batch in wide.batches(range(len(wide.groups))):
        assert batch.rollout is not None
        ratios = (wide.roles.policy.logps(batch)[0] - batch.rollout.old).exp()
        torch.testing.assert_close(ratios, torch.ones_like(ratios), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(wide.seen.kl, torch.zeros_like(wide.seen.kl), rtol=0, atol=1e-4)


def test_a_teacher_is_compared_with_over_the_tokens(benches: dict[str, Bench], tmp_path: Path) -> None:
    found = []
    for which in ("wide", "cut"):
        teacher = f"objective.teacher={benches[which].base}"
        _, *given = words(benches[which], "distill", tmp_path / which, teacher)
        asked = [word for word in given if not word.startswith("reward")]
        found.append(pieces(load(stage_schema("distill"), None, asked)))
    widths: list[int] = []

    def compare(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        widths.append(a.shape[-1])
        assert (a.exp().sum(-1) - 1).abs().max() < 1e-4
        return (a.exp() * (a - b)).sum(-1)

    gaps = [p.roles.policy.against_teacher(batch, compare) for p in found for batch in p.batches(range(2))]
    assert widths == [TOKENS, TOKENS]
    torch.testing.assert_close(gaps[0], gaps[1], rtol=1e-5, atol=1e-5)
