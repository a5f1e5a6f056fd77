"""Does what is to be trained learn? After a step every trained weight has had a gradient, and at the end some have moved.

A weight that the loss cannot reach stays what it was without a word: a layer whose matrix is read past its adapter, a part
that this stage never calls. Zero is a gradient (a fresh adapter's A has it at first), none at all is not.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import nn

from medicalgpt.errors import RunError
from medicalgpt.kernels.bits import digest
from medicalgpt.models.trial import local
from medicalgpt.training.meter import Reducer
from medicalgpt.training.together import gathered

_SHOWN = 3
# Of AdamW, of Muon, of AdamW in 8 bits (whose scales are 0 where all bytes stand for 0), of Adafactor. Adafactor adds 1e-30 to
# squares, which is no gradient.
_MOMENTS = ("exp_avg", "exp_avg_sq", "momentum_buffer", "absmax1", "absmax2", "exp_avg_sq_row", "exp_avg_sq_col")


class GradientWatch:
    """Looks at trained weights before each optimizer step until all of them have had a gradient in some process."""

    def __init__(self, trained: Mapping[str, nn.Parameter], reducer: Reducer) -> None:
        self.waiting = dict(trained)
        self.reducer = reducer

    def look(self, part: str = "") -> None:
        """Strike off the weights below `part` that have a gradient, before it is used.

        Experts may wait for a token that is sent to them.

        Raises:
            RunError: another weight has none, in no process; the same on all of them.
        """
        names = [name for name in self.waiting if name.startswith(part)]
        if not names:
            return
        has = torch.tensor([self.waiting[name].grad is not None for name in names], dtype=torch.int64)
        has = self.reducer.reduce(has.to(self.reducer.device), "sum").cpu()
        for name, found in zip(names, has.tolist()):
            if found:
                del self.waiting[name]
        lost = [name for name in names if name in self.waiting and not _is_routed(name)]
        if lost:
            raise RunError(
                f"{len(lost)} trained weights got no gradient from the first step: {_some(lost)}. The loss does not reach them, "
                "so they would stay as they are. Leave these layers out of lora.target_modules; where all weights are trained, train "
                "adapters instead (lora.enabled=true)"
            )


def _is_routed(name: str) -> bool:
    return "experts" in name.split(".")


class Movement:
    """Remembers trained weights by a number each, so that at the end it can be said which of them learned.

    `first` is the step that they are at: 0, or that of the checkpoint they were read from.
    """

    def __init__(self, trained: Mapping[str, nn.Parameter], first: int = 0) -> None:
        self.trained, self.first = trained, first
        self.before = {name: digest(local(p)) for name, p in trained.items()}

    def findings(self, step: int, optimizer: torch.optim.Optimizer | None = None) -> Iterator[str]:
        """What is to be said at `step`: nothing where every weight learned.

        Args:
            optimizer: tells whether a weight that moved had a gradient, or was only made smaller by weight decay.
        """
        steps = step - self.first
        if not step or (not steps and optimizer is None):
            return
        # A run that went on behind its last step has only its moments to tell of what was before.
        unmoved = {name for name, p in self.trained.items() if steps and digest(local(p)) == self.before[name]}
        still = [n for n, p in self.trained.items() if n in unmoved or (optimizer and not _had_gradient(optimizer, p))]
        # Of a sharded weight another process may hold the part that moved.
        unmoved, kept = (set[str].intersection(*map(set, gathered(sorted(names)))) for names in (unmoved, still))
        still = [name for name in still if name in kept]
        decayed = " but by weight decay" if len(still) > len(unmoved) else ""
        since = f" since the checkpoint of step {self.first}" if self.first and steps else ""
        steps = steps or step
        if len(still) == len(self.trained):
            yield (
                f"warning: this run learned nothing{since}: none of its {len(still)} trained weights changed in {steps} "
                f"steps{decayed}. Look at train/grad_norm: 0 means that nothing was to be learned from these rows (no token with "
                "weight, or equal rewards); otherwise the steps are smaller than model.dtype can hold, and "
                "train.learning_rate must be larger"
            )
        elif still and steps > 1:  # a fresh adapter's A has a gradient of zero at first
            count = f"{len(still)} of {len(self.trained)}"
            yield f"{count} trained weights did not change in {steps} steps{since}{decayed}: {_some(still)}"


def _had_gradient(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> bool:
    """Whether an optimizer's moments, which a checkpoint keeps, hold anything; true of an optimizer that has none."""
    state = optimizer.state.get(parameter, {})
    moments = [state[name] for name in _MOMENTS if name in state]
    least = 2e-30 if "RMS" in state else 0.0
    return not moments or any(bool((local(moment).abs() > least).any()) for moment in moments)


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
