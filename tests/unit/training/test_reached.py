"""Trained weights that the loss cannot reach stop a run at its first step; a run in which nothing moved says so."""

import pytest
import torch
from torch import nn

from medicalgpt.errors import RunError
from medicalgpt.kernels.bits import digest
from medicalgpt.training.reached import GradientWatch, Movement
from medicalgpt.training.rl.process_group import ProcessGroup

ALONE = ProcessGroup(0, 1, torch.device("cpu"))


class Elsewhere:
    """Another process has gradients where this one has none."""

    device = torch.device("cpu")

    def reduce(self, tensor: torch.Tensor, how: str = "sum") -> torch.Tensor:
        return tensor + 1


def two_halves() -> nn.ModuleDict:
    torch.manual_seed(0)
    return nn.ModuleDict({"used": nn.Linear(4, 4), "beside": nn.Linear(4, 4)})


def step(model: nn.ModuleDict) -> None:
    model["used"](torch.ones(1, 4)).sum().backward()


def test_a_weight_beside_the_loss_is_named() -> None:
    model = two_halves()
    step(model)
    with pytest.raises(
        RunError, match=r"2 trained weights got no gradient from the first step: beside\.weight, beside\.bias"
    ):
        GradientWatch(dict(model.named_parameters()), ALONE).look()


def test_a_gradient_of_zero_is_one() -> None:
    model = two_halves()
    model["beside"](torch.zeros(1, 4)).sum().mul(0).backward()
    step(model)
    watch = GradientWatch(dict(model.named_parameters()), ALONE)
    watch.look()
    model.zero_grad(set_to_none=True)
    watch.look()  # seen once is enough


def test_a_gradient_in_any_process_counts() -> None:
    model = two_halves()
    step(model)
    GradientWatch(dict(model.named_parameters()), Elsewhere()).look()


def test_an_expert_waits_for_a_token() -> None:
    model = nn.ModuleDict({"experts": two_halves()})
    model["experts"]["used"](torch.ones(1, 4)).sum().backward()  # type: ignore[index]  # a ModuleDict of ModuleDicts
    watch = GradientWatch(dict(model.named_parameters()), ALONE)
    watch.look()
    assert set(watch.waiting) == {"experts.beside.weight", "experts.beside.bias"}


def test_each_half_of_a_stage_is_looked_at_in_its_own_step() -> None:
    model = two_halves()
    watch = GradientWatch(dict(model.named_parameters()), ALONE)
    step(model)
    watch.look("used.")
    with pytest.raises(RunError, match=r"beside\.weight"):
        watch.look("beside.")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_the_smallest_change_of_a_weight_is_movement(dtype: torch.dtype) -> None:
    weight = nn.Parameter(torch.randn(3, 5).to(dtype))
    still = nn.Parameter(torch.randn(7).to(dtype))
    movement = Movement({"weight": weight, "still": still})
    assert "learned nothing: none of its 2 trained weights changed in 4 steps" in next(movement.findings(4))
    with torch.no_grad():
        weight[1, 2] = torch.nextafter(weight[1, 2], torch.tensor(9.0, dtype=dtype))
    assert list(movement.findings(4)) == ["1 of 2 trained weights did not change in 4 steps: still"]
    assert not list(movement.findings(1)), "a fresh adapter's A waits for its B"
    assert not list(movement.findings(0))


def test_weight_decay_alone_is_no_learning() -> None:
    model = two_halves()
    trained = dict(model.named_parameters())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    movement = Movement(trained)
    for _ in range(2):
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    assert not list(movement.findings(2)), "digests alone cannot tell"
    assert "none of its 4 trained weights changed in 2 steps but by weight decay" in next(
        movement.findings(2, optimizer)
    )
    step(model)
    optimizer.step()
    (said,) = movement.findings(3, optimizer)
    assert said.startswith("2 of 4 trained weights did not change in 3 steps but by weight decay: beside.weight")


def test_after_a_resume_the_steps_since_then_count() -> None:
    weight = nn.Parameter(torch.ones(3))
    movement = Movement({"weight": weight}, 40)
    assert not list(movement.findings(40))
    optimizer = torch.optim.AdamW([weight])
    assert not list(movement.findings(40, optimizer))  # without moments nothing is known
    weight.grad = torch.zeros(3)
    optimizer.step()
    assert "learned nothing: none of its 1 trained weights changed in 40 steps but by weight decay" in next(
        movement.findings(40, optimizer)
    )
    movement = Movement({"weight": weight}, 40)
    assert "learned nothing since the checkpoint of step 40: none of its 1 trained weights changed in 2 steps" in next(
        movement.findings(42)
    )


def test_a_digest_of_nothing_is_none() -> None:
    assert digest(torch.zeros(0)) == 0
