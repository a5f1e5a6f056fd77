"""The end of a run at its first number that is none."""

import json
from collections.abc import Sequence
from pathlib import Path

from medicalgpt.errors import RunError


def halt(folder: Path, what: str, step: int, rank: int, rows: Sequence[str]) -> RunError:
    """Keep the ids of the rows in `folder`; returns the error to raise before the number reaches the weights."""
    path = folder / f"nonfinite-step-{step}-rank-{rank}.json"
    path.write_text(
        json.dumps({"step": step, "what": what, "rows": list(rows)}, ensure_ascii=False, indent=1), encoding="utf-8"
    )
    return RunError(
        f"the {what} became non-finite at step {step}; the ids of the {len(rows)} rows are in {path}. No weight was "
        "touched by it. Try a lower train.learning_rate, model.dtype=float32 or bfloat16 instead of float16, or look at those rows"
    )
