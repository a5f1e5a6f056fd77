"""On real text and notes made around it, the half that is reported; thresholds are a little below docs/deidentification.md."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from tests.realdata import NEEDS_REAL, REAL

from medicalgpt.phi import Detector, Kind

pytestmark = [*NEEDS_REAL, pytest.mark.slow]
BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def bench() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location("phi_benchmark", BENCHMARKS / "phi.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


@pytest.mark.parametrize(("region", "least"), [("cn", 0.975), ("tw", 0.99), ("hk", 0.99)])
def test_made_up_notes_are_masked(bench: ModuleType, detector: Detector, region: str, least: float) -> None:
    templates = [(r, t) for r, t in bench.all_templates() if r == region and bench.half(t) == 1]
    talks = bench.chosen(bench.consultations(REAL), (1,), 300)
    tally = bench.on_notes(detector, bench.notes(templates, talks, 200, 1), 0, region)
    found = {kind: tally.hit[kind] / tally.of[kind] for kind in tally.of}
    assert sum(tally.hit.values()) / sum(tally.of.values()) >= least, found
    assert found["name"] >= 0.98
    assert found["address"] >= 0.985
    assert found["number"] >= 0.99
    assert tally.right / tally.spans >= 0.91
    assert tally.touched == 0
    assert tally.traps > 0


def test_english_queries_are_masked(bench: ModuleType) -> None:
    rows = [row for row in bench.queries(REAL) if bench.half(row[0]) == 1]
    tally = bench.on_tagged(Detector(("en",)), rows, 0, "queries")
    assert sum(tally.hit.values()) / sum(tally.of.values()) >= 0.975
    assert tally.right / tally.spans >= 0.97
    assert tally.flagged / tally.clean <= 0.06


def test_few_names_are_seen_where_there_are_none(bench: ModuleType, detector: Detector) -> None:
    talks = bench.chosen(bench.consultations(REAL), (1,), 400)
    assert bench.on_clean(detector, talks, 0, "consultations").get(Kind.NAME, 0) <= 2.5
    answers = bench.chosen(bench.answers(REAL), (1,), 200)
    assert bench.on_clean(Detector(("en",)), answers, 0, "answers").get(Kind.NAME, 0) <= 1
