"""certificate.json: proof, beside the weights, of how far a merged, quantized or exported model is from the one before.

A step whose result differs by more than its tolerance fails and publishes nothing; with drift allowed it is published and
the certificate says so. It holds no path; that of a merge holds no time either: the same merge writes the same file.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from medicalgpt.errors import ModelError
from medicalgpt.export.equivalence import Difference
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.hashes import hash_json, hash_tree

NAME = "certificate.json"
SCHEMA_VERSION = 1

Unit = Literal["log-probability", "score"]


@dataclass(frozen=True)
class Tolerance:
    """What a kind of step may change: largest |Δ|, mean KL in nats per position, least share of equal greedy tokens."""

    max_abs_delta: float
    mean_kl: float
    greedy_agreement: float


_EXACT = Tolerance(1e-3, 1e-5, 0.98)
_HALF = Tolerance(0.3, 5e-3, 0.95)
_EIGHT_BITS = Tolerance(4.0, 0.1, 0.85)
_FOUR_BITS = Tolerance(8.0, 0.5, 0.60)

TOLERANCES: dict[str, Tolerance] = {
    "merge-float32": _EXACT,
    "merge-bfloat16": _HALF,
    "merge-float16": Tolerance(0.1, 1e-3, 0.97),
    "cpu-int8": _EIGHT_BITS,
    "cpu-int4": _FOUR_BITS,
    "int8": _EIGHT_BITS,
    "nf4": _FOUR_BITS,
    "gguf-F32": Tolerance(1e-2, 1e-4, 0.98),
    "gguf-F16": Tolerance(0.1, 1e-3, 0.97),
    "gguf-BF16": _HALF,
    "gguf-Q8_0": _EIGHT_BITS,
    "gguf-Q6_K": _EIGHT_BITS,
    "gguf-Q5_K": _FOUR_BITS,
    "gguf-Q5_1": _FOUR_BITS,
    "gguf-Q5_0": _FOUR_BITS,
    "gguf-Q4_K": _FOUR_BITS,
    "gguf-Q4_1": _FOUR_BITS,
    "gguf-Q4_0": _FOUR_BITS,
    "served": _HALF,
}
"""By kind of step. Rounding to eight and four bits changes a model by nature: these limits catch a broken step, and the
numbers beside them say how good a sound one is."""


@dataclass(frozen=True)
class Comparison:
    """Two models that were compared: what they are, their hashes, and how far apart they are."""

    first: str
    second: str
    difference: Difference
    first_sha256: str | None = None
    second_sha256: str | None = None


@dataclass
class Certificate:
    """All comparisons of one step. `measured` holds numbers beside them, such as perplexity before and after."""

    step: str
    comparisons: list[Comparison]
    unit: Unit = "log-probability"
    allow_drift: bool = False
    measured: dict[str, object] = field(default_factory=dict)

    @property
    def tolerance(self) -> Tolerance:
        """The limits of this step; raises ModelError for a step without any."""
        if self.step not in TOLERANCES:
            raise ModelError(f"no tolerance is set for the step {self.step!r}; known: {', '.join(TOLERANCES)}")
        return TOLERANCES[self.step]

    @property
    def worst(self) -> Difference:
        """The largest difference of each kind over all comparisons."""
        found = [c.difference for c in self.comparisons]
        kls = [d.mean_kl for d in found if d.mean_kl is not None]
        gaps = [d.max_abs_delta for d in found]
        return Difference(
            math.nan if any(map(math.isnan, gaps)) else max(gaps),
            max(kls) if kls else None,
            min(d.greedy_agreement for d in found),
            sum(d.positions for d in found),
            max(d.prompts for d in found),
        )

    @property
    def excess(self) -> list[str]:
        """What goes beyond the tolerance, in words; empty when nothing does."""
        worst, limit = self.worst, self.tolerance
        out = []
        if not worst.max_abs_delta <= limit.max_abs_delta:  # NaN is no number within a limit
            out.append(f"max |Δ {self.unit}| {worst.max_abs_delta:.3g} > {limit.max_abs_delta:g}")
        if worst.mean_kl is not None and not worst.mean_kl <= limit.mean_kl:
            out.append(f"mean KL {worst.mean_kl:.3g} > {limit.mean_kl:g}")
        if worst.greedy_agreement < limit.greedy_agreement:
            out.append(f"greedy agreement {worst.greedy_agreement:.1%} < {limit.greedy_agreement:.0%}")
        return out

    def check(self) -> None:
        """Raises ModelError when a difference is beyond the tolerance and drift is not allowed."""
        if self.excess and not self.allow_drift:
            raise ModelError(
                f"{self.step}: the result differs from the model before by more than this step may change: "
                f"{'; '.join(self.excess)}. Nothing was published. If this is what you want, use --allow-drift: the "
                "certificate will say so"
            )

    def summary(self) -> str:
        """One line for people."""
        worst, limit = self.worst, self.tolerance
        kl = "" if worst.mean_kl is None else f", mean KL {worst.mean_kl:.1e} (limit {limit.mean_kl:g})"
        drift = f"; DRIFT beyond the tolerance, allowed: {'; '.join(self.excess)}" if self.excess else ""
        return (
            f"max |Δ {self.unit}| {worst.max_abs_delta:.1e} (limit {limit.max_abs_delta:g}){kl}, greedy agreement "
            f"{worst.greedy_agreement:.1%} of {worst.positions} positions{drift}"
        )

    def as_dict(self) -> dict[str, object]:
        """The file's content; a number that is not finite is null."""
        worst = self.worst.as_dict()
        comparisons = [{k: v for k, v in asdict(c).items() if v is not None} for c in self.comparisons]
        return _finite(
            {
                "schema_version": SCHEMA_VERSION,
                "step": self.step,
                "unit": self.unit,
                "verdict": "drift allowed" if self.excess else "within tolerance",
                "excess": self.excess,
                **worst,
                "tolerance": asdict(self.tolerance),
                "comparisons": comparisons,
                "measured": self.measured,
            }
        )

    def write(self, folder: Path, name: str = NAME) -> None:
        """Check, then store the certificate beside the weights; raises ModelError as `check`."""
        self.check()
        write_text(folder / name, json.dumps(self.as_dict(), indent=1, ensure_ascii=False) + "\n")


def read(folder: Path) -> Mapping[str, Any] | None:
    """The certificate beside a model's weights, None where there is none; raises ModelError for a damaged one."""
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is damaged: it is not JSON; make the model again") from error
    if not isinstance(found, dict) or found.get("schema_version") != SCHEMA_VERSION:
        raise ModelError(f"{path} is not a certificate this version reads; make the model again")
    return found


def weights_hash(
    folder: Path, patterns: Sequence[str] = ("*.safetensors", "config.json", "adapter_config.json")
) -> str:
    """One SHA-256 over a model's weights and config, whatever stands beside them."""
    return hash_json(hash_tree(folder, patterns))


def _finite(values: Mapping[str, object]) -> dict[str, object]:
    return {key: _finite_value(value) for key, value in values.items()}


def _finite_value(value: object) -> object:
    if isinstance(value, dict):
        return _finite(value)
    if isinstance(value, list):
        return [_finite_value(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
