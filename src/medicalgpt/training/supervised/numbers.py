"""The numbers of a supervised run: what its metrics lines hold, the means over the held-out set, and the end at one that is none."""

import json
import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, final

import torch

from medicalgpt.errors import RunError
from medicalgpt.rendering.batch import TreeBatch
from medicalgpt.runs.atomic import write_text
from medicalgpt.training.meter import Meter, Reducer
from medicalgpt.training.sequence import Autocasting
from medicalgpt.training.supervised.module import StageModule


@final
class TrainNumbers:
    """Sums since the last metrics line, all tokens before it, and the clock of the training steps alone."""

    def __init__(self, accelerator: Reducer) -> None:
        self.meter = Meter(accelerator)
        self.tokens = 0
        self._start = time.perf_counter()

    def start_clock(self) -> None:
        """Count the time from now on."""
        self._start = time.perf_counter()

    def leave_out(self, seconds: float) -> None:
        """Take time that was not spent on training off the clock."""
        self._start += seconds

    def line(self, grad_norm: float, learning_rate: float) -> dict[str, float]:
        """The metrics line of the steps since the last one, over all processes; the sums start anew."""
        now = time.perf_counter()
        values, tokens = self.meter.drain()
        self.tokens += tokens
        line = {f"train/{k}": v for k, v in values.items()}
        if math.isfinite(grad_norm):  # it is not in a step that float16 skips
            line["train/grad_norm"] = grad_norm
        line["train/learning_rate"] = learning_rate
        line["train/tokens"] = self.tokens
        line["train/tokens_per_second"] = tokens / max(1e-9, now - self._start)
        return line


@final
class Overflows:
    """Steps that float16 skips: its loss scale grows until a gradient overflows, and is halved then. That is how it finds one.

    A gradient that is broken by itself overflows at every scale.
    """

    MOST: Final = 20
    """Skipped steps in a row: from 65,536, where it begins, the scale is below 1 by then."""

    def __init__(self) -> None:
        self.row = self.since = 0

    def bears(self, norm: torch.Tensor, scaled: bool) -> bool:
        """Whether training goes on with a gradient of this norm: it is finite, or its step is skipped (`scaled`: float16)."""
        if bool(torch.isfinite(norm)):
            self.row = 0
            return True
        self.row, self.since = self.row + 1, self.since + 1
        return scaled and self.row <= self.MOST

    def drain(self) -> dict[str, float]:
        """How many steps were skipped since the last metrics line; nothing where none was."""
        since, self.since = self.since, 0
        return {"train/skipped_steps": float(since)} if since else {}


def flat(line: dict[str, float]) -> dict[str, float]:
    """A metrics line with the names that callbacks of transformers expect: loss, eval_loss, …"""
    return {k.removeprefix("train/").replace("eval/", "eval_"): v for k, v in line.items()}


@torch.no_grad()
def held_out_means(
    module: StageModule, batches: Iterable[TreeBatch], accelerator: Autocasting, device: torch.device
) -> dict[str, float]:
    """Mean loss and metrics of `batches` over all processes, as eval/…; the module is left in training mode."""
    module.eval()
    meter = Meter(accelerator)
    for batch in batches:
        with accelerator.autocast():
            out = module(batch.to(device))
        meter.add({"loss": (out["sum"], out["count"]), **out["metrics"]})
    module.train()
    return {f"eval/{k}": v for k, v in meter.drain()[0].items()}


def halt(folder: Path, what: str, step: int, rank: int, rows: Sequence[str]) -> RunError:
    """Keep the ids of the rows in `folder`; returns the error to raise before the number reaches the weights."""
    path = folder / f"nonfinite-step-{step}-rank-{rank}.json"
    write_text(path, json.dumps({"step": step, "what": what, "rows": list(rows)}, ensure_ascii=False, indent=1))
    return RunError(
        f"the {what} became non-finite at step {step}; the ids of the {len(rows)} rows are in {path}. No weight was "
        "touched by it. Try a lower train.learning_rate, model.dtype=float32 or bfloat16 instead of float16, or look at those rows"
    )
