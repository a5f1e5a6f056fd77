"""Learning-rate schedules as a pure function of the step."""

import math
from typing import Literal

Schedule = Literal["cosine", "linear", "constant", "wsd"]
DECAY_SHARE = 0.2  # of a WSD run: the last fifth decays (arXiv 2404.06395 uses 10–20 %)


def warmup_steps(warmup: float, steps: int) -> int:
    """A share of the steps when below 1, else a number of steps."""
    return min(steps, math.ceil(warmup * steps) if warmup < 1 else round(warmup))


def factor(step: int, steps: int, warmup: float, schedule: Schedule) -> float:
    """Multiplier of the peak learning rate at optimizer step `step` (0-based) of `steps`."""
    warm = warmup_steps(warmup, steps)
    if step < warm:
        return (step + 1) / (warm + 1)
    progress = (step - warm) / max(1, steps - warm)
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    if schedule == "linear":
        return max(0.0, 1 - progress)
    if schedule == "wsd":
        start = steps - math.ceil(DECAY_SHARE * steps)
        return 1.0 if step < start else max(0.0, (steps - step) / max(1, steps - start))
    return 1.0
