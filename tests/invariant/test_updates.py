"""What must not change an update: how answers are batched, where minibatches are cut, what is recomputed."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.rl import Pieces, config, pieces, shake
from tests.stages import Bench
from tests.trees import assert_same_gradients

from medicalgpt.models.causal_lm import unwrap
from medicalgpt.objectives.base import Objective
from medicalgpt.objectives.grpo import GroupRelative
from medicalgpt.objectives.ppo import ClippedPolicy, ClippedValue
from medicalgpt.objectives.rloo import LeaveOneOut
from medicalgpt.rewards.answers import Group
from medicalgpt.training.policy import checkpoint_activations
from medicalgpt.training.rl.experience import measure
from medicalgpt.training.rl.process_group import ProcessGroup
from medicalgpt.training.rl.update import Updater, UpdateSettings
from medicalgpt.training.stages import policy_objective

ALONE = ProcessGroup(0, 1, torch.device("cpu"))
METHODS = pytest.mark.parametrize("lora", [True, False], ids=["lora", "full"])
Make = Callable[..., Pieces]
OBJECTIVES: dict[str, Objective] = {
    "ppo": ClippedPolicy(entropy=0.05),
    "rloo": LeaveOneOut(),
    "grpo by token": GroupRelative(beta=0.1),
    "grpo by answer": GroupRelative(beta=0.1, loss_type="grpo"),
    "grpo by answer and sequence": GroupRelative(0.1, 0.1, beta=0.1, loss_type="grpo", ratio="sequence"),
    "critic": ClippedValue(),
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench.set_up(tmp_path_factory.mktemp("bench"))


@pytest.fixture
def make(bench: Bench, tmp_path: Path) -> Make:
    def build(lora: bool, *overrides: str) -> Pieces:
        several = ("rollout.completions=3", "rollout.temperature=0.7", f"lora.enabled={str(lora).lower()}")
        return pieces(config(bench, "ppo", tmp_path / "run", *several, *overrides))

    return build


def moved(make: Make, lora: bool, *overrides: str) -> Pieces:
    """An update under way: policy and critic have moved, some ratios are clipped, and there are advantages."""
    found = make(lora, *overrides)
    shake(found.roles.trained(), 0.03 if lora else 0.01)
    random, old = torch.Generator().manual_seed(0), found.seen.targets.old
    for name in ("advantages", "old_values", "returns"):
        found.seen.targets = replace(found.seen.targets, **{name: torch.randn(old.shape, generator=random)})
    one_each = torch.randn(found.seen.lengths.shape, generator=random)
    found.seen.targets = replace(found.seen.targets, advantages=one_each.repeat_interleave(found.seen.lengths))
    return found


def learn(p: Pieces, objective: Objective, parts: Sequence[Sequence[int]], **how: Any) -> tuple[Any, Any, Any]:
    """Sum, count and gradients of an objective over minibatches."""
    critic, trained = isinstance(objective, ClippedValue), p.roles.trained()
    for parameter in trained.values():
        parameter.grad = None
    total = count = 0.0
    player: Any = p.roles.critic if critic else p.roles.policy
    for batch in (b for items in parts for b in p.batches(items, **how)):
        out = objective.loss(player, batch)
        out.sum.backward()  # type: ignore[no-untyped-call]
        total, count = total + float(out.sum.detach()), count + float(out.count)
        assert float(objective.count(batch)) == float(out.count)
    wanted = {n: q for n, q in trained.items() if n.startswith("critic." if critic else "policy.")}
    others = [n for n, q in trained.items() if n not in wanted and q.grad is not None and q.grad.any()]
    assert not others, f"{others[:2]} learn from what is not theirs"
    return total, count, {n: torch.zeros_like(q) if q.grad is None else q.grad.clone() for n, q in wanted.items()}


# -- the first ratio ----------------------------------------------------------------------------------------------------
@METHODS
@pytest.mark.parametrize("batching", ["tree", "padded"])
def test_the_first_ratio_is_1(make: Make, lora: bool, batching: str) -> None:
    """Whatever prompts share a row: measured in rows of 128 tokens, learned from two prompts at a time."""
    p = make(lora, f"train.batching={batching}")
    assert p.roles.policy.batching == batching
    assert p.seen.lengths.shape == (12,)
    for items in ([2, 0], [3], [1]):
        for batch in p.batches(items, capacity=64):
            logps = p.roles.policy.logps(batch)[0]
            assert logps.requires_grad
            assert float((logps - batch.rollout.old).exp().sub(1).abs().max().detach()) < 1e-5


@METHODS
def test_the_first_ratio_is_1_under_autocast(make: Make, lora: bool) -> None:
    """fp32 weights that multiply in bfloat16, as full training does on a GPU: measured as it is learned from."""
    p = make(lora)
    shake(p.roles.trained(), 0.02)
    exact = measure(p.roles, p.groups, 128, 3).targets.old
    p.roles.autocast = torch.bfloat16
    p.seen = measure(p.roles, p.groups, 128, 3)
    for batch in p.batches(range(4)):
        with p.roles.precision():
            logps = p.roles.policy.logps(batch)[0]
        assert float((logps - batch.rollout.old).exp().sub(1).abs().max().detach()) < 1e-5
    assert float((p.seen.targets.old - exact).abs().max()) > 1e-3, "8 bits should show"


@METHODS
def test_before_anything_was_learned_policy_and_reference_agree(make: Make, lora: bool) -> None:
    p = make(lora)
    assert float(p.seen.kl.abs().max()) < 1e-4
    assert not p.seen.targets.old_values.any(), "a critic starts at zero"
    assert float(p.seen.entropy.min()) > 0.5


@METHODS
def test_the_reference_stays_where_the_policy_began(make: Make, lora: bool) -> None:
    p = make(lora)
    before = p.seen.reference.clone()
    shake(p.roles.trained(), 0.05)
    after = measure(p.roles, p.groups, 128, 3)
    torch.testing.assert_close(after.reference, before, rtol=1e-5, atol=1e-5)
    assert float((after.targets.old - p.seen.targets.old).abs().max()) > 0.01
    assert after.targets.old_values.any()


# -- batching and minibatches -------------------------------------------------------------------------------------------
@METHODS
@pytest.mark.parametrize("name", OBJECTIVES)
def test_padded_answers_give_the_losses_and_gradients_of_packed_ones(make: Make, lora: bool, name: str) -> None:
    p, every = moved(make, lora), [range(4)]
    packed = learn(p, OBJECTIVES[name], every)
    padded = learn(p, OBJECTIVES[name], every, batching="padded")
    assert padded[0] == pytest.approx(packed[0], rel=1e-4, abs=1e-4)
    assert padded[1] == packed[1] == (12.0 if "answer" in name or name == "rloo" else float(p.seen.lengths.sum()))
    assert_same_gradients(padded[2], packed[2])


@METHODS
@pytest.mark.parametrize("name", OBJECTIVES)
def test_sums_do_not_depend_on_where_minibatches_are_cut(make: Make, lora: bool, name: str) -> None:
    p = moved(make, lora)
    whole = learn(p, OBJECTIVES[name], [range(4)], capacity=10_000)
    parts = learn(p, OBJECTIVES[name], [[2], [3, 0], [1]], capacity=16)
    assert parts[0] == pytest.approx(whole[0], rel=1e-4, abs=1e-4)
    assert parts[1] == whole[1]
    assert_same_gradients(parts[2], whole[2])


def test_clipping_was_at_work_above(make: Make) -> None:
    """Otherwise the tests above would hold for any clipping."""
    p = moved(make, True)
    (batch,) = p.batches(range(4), capacity=10_000)
    clipped, count = ClippedPolicy().loss(p.roles.policy, batch).metrics["clip_fraction"]
    assert 0.05 < float(clipped / count) < 0.95


def measured(p: Pieces, capacity: int) -> dict[str, torch.Tensor]:
    """What is known of every token before anything was scored."""
    seen = measure(p.roles, p.groups, capacity, 3)
    found = {f.name: getattr(seen.targets, f.name) for f in fields(seen.targets)} | {"reference": seen.reference}
    return {name: value for name, value in found.items() if value is not None}


@METHODS
def test_measured_values_do_not_depend_on_the_form_of_the_batch(make: Make, lora: bool) -> None:
    p = moved(make, lora)
    packed = measured(p, 16)
    for player in (p.roles.policy, p.roles.critic):
        player.batching = "padded"  # type: ignore[union-attr]
    padded = measured(p, 500)
    assert packed.keys() == padded.keys() == {"old", "reference", "old_values"}
    for name, values in packed.items():
        torch.testing.assert_close(padded[name], values, rtol=1e-4, atol=1e-5)


def test_a_critic_may_be_batched_otherwise_than_the_policy(make: Make) -> None:
    p = moved(make, False)
    packed = measure(p.roles, p.groups, 64, 3).targets.old_values
    p.roles.critic.batching = "padded"  # type: ignore[union-attr]
    torch.testing.assert_close(measure(p.roles, p.groups, 64, 3).targets.old_values, packed, rtol=1e-4, atol=1e-5)


# -- the update ---------------------------------------------------------------------------------------------------------
def update(p: Pieces, world: ProcessGroup = ALONE, owned: Sequence[int] = range(4), **how: Any) -> tuple[Updater, Any]:
    updater = Updater(p.config, p.roles, world, 128, 3, 1e-3)
    updater.set_rates(0, 2)
    objective = policy_objective(p.config)
    return updater, updater.run(p.seen, objective, ClippedValue(), owned, 4, UpdateSettings(2, 2), 0, **how)


@METHODS
def test_recomputed_activations_give_the_same_update(make: Make, lora: bool) -> None:
    """Bit by bit. And they are recomputed: transformers does so in training mode only, where dropout would be on."""
    weights, calls = [], []
    for on in ("false", "true"):
        p = moved(make, lora, f"train.gradient_checkpointing={on}")
        if on == "true":
            checkpoint_activations(unwrap(p.roles.critic.model))  # type: ignore[union-attr]
        seen: list[int] = []
        for player in (p.roles.policy, p.roles.critic):
            for layer in list(unwrap(player.model).base_model.layers)[:1]:  # type: ignore[union-attr]
                layer.mlp.register_forward_pre_hook(lambda *_, seen=seen: seen.append(1))
        update(p)
        weights.append({n: q.detach().clone() for n, q in p.roles.trained().items()})
        calls.append(len(seen))
        assert not any(m.training for m in p.roles.policy.modules())
    assert calls[1] == 2 * calls[0]
    assert [name for name, value in weights[0].items() if not torch.equal(weights[1][name], value)] == []


@METHODS
def test_both_halves_learn_and_nothing_else_moves(make: Make, lora: bool) -> None:
    p = moved(make, lora)
    before = {n: q.detach().clone() for m in p.roles.modules() for n, q in m.named_parameters()}
    trained = {n: q.detach().clone() for n, q in p.roles.trained().items()}
    update(p)
    for name, parameter in p.roles.trained().items():
        assert not torch.equal(parameter, trained[name]), f"{name} did not learn"
    if lora:
        ids = {id(q) for q in p.roles.trained().values()}
        for module in p.roles.modules():
            for name, parameter in module.named_parameters():
                if id(parameter) not in ids:
                    assert torch.equal(parameter, before[name]), f"{name} moved"


def test_a_warming_critic_leaves_the_policy_alone(make: Make) -> None:
    p = moved(make, True)
    before = {n: q.detach().clone() for n, q in p.roles.trained().items()}
    _, said = update(p, train_policy=False)
    for name, parameter in p.roles.trained().items():
        assert torch.equal(parameter, before[name]) == name.startswith("policy."), name
    assert "policy_loss" not in said
    assert said["value_loss"] > 0


@pytest.mark.parametrize("batching", ["tree", "padded"])
def test_a_process_without_a_prompt_in_a_minibatch_takes_part(make: Make, batching: str) -> None:
    """Owning prompts 0 and 1 of four it has none in some minibatch, and still steps as often as the others."""
    p = moved(make, True, f"train.batching={batching}")
    (half,) = [Pieces(p.config, p.roles, p.groups[:2], measure(p.roles, p.groups[:2], 128, 3))]
    tokens = int(half.seen.lengths.sum())
    known = {n: getattr(p.seen.targets, n)[:tokens] for n in ("advantages", "returns")}
    half.seen.targets = replace(half.seen.targets, **known)
    updater = Updater(p.config, p.roles, ALONE, 128, 3, 1e-3)
    parts = list(updater._parts(4, UpdateSettings(4, 4), 0))
    assert sum(not part & {0, 1} for _, part in parts) == 8
    (nothing,) = list(updater._batches(half.seen, [], p.roles.policy))
    assert bool(nothing.spans) == (batching == "tree")
    for player, objective in ((p.roles.policy, OBJECTIVES["ppo"]), (p.roles.critic, OBJECTIVES["critic"])):
        out = objective.loss(player, nothing)  # type: ignore[arg-type]
        assert (float(out.sum.detach()), float(out.count)) == (0.0, 0.0)
        out.sum.backward()  # type: ignore[no-untyped-call]


def test_passes_end_when_the_policy_has_moved_far_enough(make: Make) -> None:
    p = moved(make, True)
    updater = Updater(p.config, p.roles, ALONE, 128, 3, 1e-3)
    updater.set_rates(0, 2)
    before = {n: q.detach().clone() for n, q in p.roles.trained().items()}
    said = updater.run(p.seen, ClippedPolicy(), None, range(4), 4, UpdateSettings(3, 2, stop_kl=1e-9), 0)
    assert said["minibatches"] == 1.0  # the first is always used; the second shows that the first has moved it
    assert any(not torch.equal(q, before[n]) for n, q in p.roles.trained().items())


def test_every_prompt_is_used_once_in_each_pass(make: Make) -> None:
    updater = Updater(make(True).config, make(True).roles, ALONE, 128, 3)
    parts = [part for _, part in updater._parts(7, UpdateSettings(3, 2), 4)]
    assert [sorted(a | b) for a, b in zip(parts[::2], parts[1::2])] == [list(range(7))] * 3
    assert len({tuple(sorted(p)) for p in parts}) > 2, "every pass has its own order"


def test_a_tree_says_what_was_sampled(make: Make) -> None:
    """Prompt without weight, each answer a branch with its stop token, in the order of the answers."""
    group: Group = make(True).groups[0]
    tree = copy.copy(group).tree
    assert tree.segments[0].ids.tolist() == list(group.row.ids)
    assert not tree.segments[0].weights.any()
    assert [tuple(s.ids) for s in tree.segments[1:]] == [a.ids for a in group.answers]
    assert all(s.weights.all() and s.parent == 0 for s in tree.segments[1:])
