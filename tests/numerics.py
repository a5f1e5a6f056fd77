"""Whether two ways of training are one: the same numbers in float64, and in float32 nothing but rounding between them.

AdamW divides a gradient by its own running size, so a gradient that is only rounding noise still moves its weight by a
whole learning rate, in a direction that the kernels of the machine chose. Weights after float32 training, and losses
computed with them, are therefore no measure of anything. Two things are: weights after training in float64, and the
gradient of each float32 step at the weights where the float64 run took the same step.
"""

import contextlib
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import checkpoint

from medicalgpt.models import load, policy

Result = TypeVar("Result")
EPS = torch.finfo(torch.float32).eps
EXACT = 1e-9
"""How far two float64 runs of a few steps may be apart; measured is 1e-14."""
NUDGES = (1, 2)
"""Seeds of the nudged runs that `assert_rounding` takes its measure from."""


class _Float64(TorchFunctionMode):
    """Whoever asks for float32 gets float64; bytes that are float32 stay what they are."""

    def __init__(self) -> None:
        super().__init__()
        self.paused = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.paused or func in (torch.frombuffer, torch.Tensor.view):
            return func(*args, **kwargs)
        if func is torch.Tensor.float:
            func = torch.Tensor.double
        named = {name: torch.float64 if value is torch.float32 else value for name, value in kwargs.items()}
        return func(*(torch.float64 if value is torch.float32 else value for value in args), **named)


@contextlib.contextmanager
def float64(nudge: int | None = None) -> Iterator[None]:
    """Stages trained in here compute in float64, from the loaded weights to the saved ones.

    Args:
        nudge: seed; moves every loaded weight by up to one unit in its last float32 place.
    """
    before, load_base, mode = torch.get_default_dtype(), load.load_base, _Float64()

    def wide(*args: Any, **kwargs: Any) -> torch.nn.Module:
        mode.paused = True
        torch.set_default_dtype(before)
        try:
            model = load_base(*args, **kwargs)
        finally:
            mode.paused = False
            torch.set_default_dtype(torch.float64)
        with torch.no_grad():
            for weight in model.double().parameters():
                _nudge(weight, nudge)
        return model

    def recomputed(part: Callable[..., torch.Tensor], *values: Any, **settings: Any) -> Any:
        """No mode reaches the backward pass, so what is computed once more there brings its own."""

        def computed(*again: Any) -> torch.Tensor:
            with _Float64():
                return part(*again)

        return checkpoint(computed, *values, **settings)

    # A cache of its own: its keys name float32, and reference values of that would be found.
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as cache, mode:
        patch.setattr(load, "load_base", wide)
        patch.setattr(policy, "checkpoint", recomputed)
        patch.setenv("MEDICALGPT_CACHE", cache)
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(before)


def _nudge(weight: torch.Tensor, seed: int | None) -> None:
    """One pattern for each shape, so that a reference and the policy that starts from it stay the same model."""
    if seed is not None:
        random = torch.Generator().manual_seed(seed + 1000 * sum(n * 31**i for i, n in enumerate(weight.shape)))
        weight.mul_(1 + EPS * (2 * torch.rand(weight.shape, generator=random, dtype=torch.float64) - 1))


@dataclass
class Walk:
    """The steps of an optimizer: the weights it stood at, the (clipped) gradients there, and where it ended."""

    weights: list[list[torch.Tensor]] = field(default_factory=list)
    gradients: list[list[torch.Tensor]] = field(default_factory=list)
    end: list[torch.Tensor] = field(default_factory=list)

    def save(self, path: Path) -> None:
        torch.save(vars(self), path)

    @classmethod
    def load(cls, path: Path) -> "Walk":
        return cls(**torch.load(path))


@contextlib.contextmanager
def walking(along: Walk | None = None, nudge: int | None = None) -> Iterator[Walk]:
    """Record the steps of the AdamW made in here.

    Args:
        along: stand at these weights before each step, and at the end, whatever the steps do.
        nudge: seed; moves those weights by up to one unit in their last float32 place.
    """
    walk, init = Walk(), torch.optim.AdamW.__init__

    def weights(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
        return [weight for group in optimizer.param_groups for weight in group["params"]]

    def stand(optimizer: torch.optim.Optimizer) -> None:
        if along is not None:
            places = [*along.weights, along.end]
            with torch.no_grad():
                for weight, there in zip(weights(optimizer), places[len(walk.gradients)], strict=True):
                    weight.copy_(there)
                    _nudge(weight, nudge)

    def made(self: torch.optim.AdamW, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        stand(self)

    def before(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        held = weights(optimizer)
        walk.weights.append([w.detach().clone() for w in held])
        walk.gradients.append([torch.zeros_like(w) if w.grad is None else w.grad.clone() for w in held])

    def after(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        walk.end = [w.detach().clone() for w in weights(optimizer)]
        stand(optimizer)

    hooks = [register_optimizer_step_pre_hook(before), register_optimizer_step_post_hook(after)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "__init__", made)
        try:
            yield walk
        finally:
            for hook in hooks:
                hook.remove()


def assert_exact(found: Walk, exact: Walk) -> None:
    """Two float64 runs took the same steps and ended in the same place."""
    assert len(found.gradients) == len(exact.gradients) > 0
    assert {w.dtype for walk in (found, exact) for w in walk.end} == {torch.float64}
    for step, (mine, theirs) in enumerate(zip(found.gradients, exact.gradients, strict=True)):
        gap = max(float((a - b).abs().max()) for a, b in zip(mine, theirs, strict=True))
        assert gap <= EXACT, f"gradients of step {step} are {gap:.2g} apart in float64"
    gap = max(float((a - b).abs().max()) for a, b in zip(found.end, exact.end, strict=True))
    assert gap <= EXACT, f"trained weights are {gap:.2g} apart in float64"


def assert_rounding(found: Walk, exact: Walk, nudged: Sequence[Walk], longest_sum: float) -> None:
    """Every float32 gradient lies as near to the float64 one at the same weights as rounding lets it.

    What one rounding of every factor does is measured, not guessed: float64 runs at weights nudged by up to EPS, relative
    and of random sign, give D, the largest change of any element of a gradient. All that this model and batch amplify or
    cancel is in it. float32 rounds oftener. A sum of n products of random sign is rounded at each of its n additions,
    where it has grown to √k terms: √(1 + 2 + … + n) = n/√2 roundings of one term, where one rounding of each product
    makes √n. So |g32 − g64| ≤ √(n/2)·D for the longest sum n (roundings add up as √n, not n: Higham and Mary, SIAM J.
    Sci. Comput. 41, 2019). Measured with kernels for DEFAULT and AVX2: 2 to 8 times D, where n = 400 allows 14.

    Args:
        nudged: float64 runs along `exact` with nudged weights, one for each of `NUDGES`.
        longest_sum: addends of the longest sum in a step: tokens of the step (a weight's gradient) or the vocabulary (the
            gradient of a hidden state), whichever are more.
    """
    assert len(found.gradients) == len(exact.gradients) > 0
    assert {w.dtype for w in found.end} == {torch.float32}
    for step, gradients in enumerate(exact.gradients):
        for number, wanted in enumerate(gradients):
            change = max(float((walk.gradients[step][number] - wanted).abs().max()) for walk in nudged)
            gap = float((found.gradients[step][number].double() - wanted).abs().max())
            assert gap <= math.sqrt(longest_sum / 2) * change, (
                f"gradient {number} {list(wanted.shape)} of step {step} is {gap:.2g} from the float64 one; one rounding "
                f"makes {change:.2g}"
            )


def nudged_walks(train: Callable[[], object], exact: Walk) -> list[Walk]:
    """The float64 runs that `assert_rounding` takes its measure from."""
    walks = []
    for seed in NUDGES:
        with float64(seed), walking(exact, seed) as walk:
            train()
        walks.append(walk)
    return walks


def assert_same_training(
    ways: Sequence[Callable[[], Result]],
    longest_sum: Callable[[Result], float],
    narrow: Sequence[Callable[[], Result]] = (),
) -> tuple[list[Result], list[Result]]:
    """Train each way in float64, and in float32 along the first one's steps; nothing but rounding lies between them.

    Args:
        longest_sum: what `assert_rounding` asks for, found in what a way gave.
        narrow: further ways, whose kernels know no float64.

    Returns:
        What the ways gave in float64, and what they and the narrow ones gave in float32. All stood at the same weights, so
        losses and norms of every step may be compared.
    """
    exact, walks = [], []
    for train in ways:
        with float64(), walking() as walk:
            exact.append(train())
        walks.append(walk)
        assert_exact(walk, walks[0])
    nudged, found = nudged_walks(ways[0], walks[0]), []
    for train in (*ways, *narrow):
        with walking(walks[0]) as walk:
            found.append(train())
        assert_rounding(walk, walks[0], nudged, longest_sum(exact[0]))
    return exact, found
