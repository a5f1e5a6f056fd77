"""The certificate: refuses beyond the tolerance, says so when drift is allowed, and reads back."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from medicalgpt.errors import ModelError
from medicalgpt.export.certificate import NAME, TOLERANCES, Certificate, Comparison, read
from medicalgpt.export.equivalence import Difference

FINE = Difference(1e-5, 1e-9, 1.0, 100, 7)


def certificate(step: str = "merge-float32", *differences: Difference, allow_drift: bool = False) -> Certificate:
    return Certificate(step, [Comparison("a", "b", d) for d in differences or (FINE,)], allow_drift=allow_drift)


@pytest.mark.parametrize(
    ("difference", "reason"),
    [
        (replace(FINE, max_abs_delta=0.5), "max |Δ log-probability| 0.5 > 0.001"),
        (replace(FINE, max_abs_delta=math.nan), "max |Δ log-probability| nan > 0.001"),
        (replace(FINE, mean_kl=0.2), "mean KL 0.2 > 1e-05"),
        (replace(FINE, greedy_agreement=0.9), "greedy agreement 90.0% < 98%"),
    ],
)
def test_each_limit_is_kept(difference: Difference, reason: str, tmp_path: Path) -> None:
    found = certificate("merge-float32", FINE, difference)
    assert found.excess == [reason]
    with pytest.raises(ModelError, match="Nothing was published"):
        found.write(tmp_path)
    assert not (tmp_path / NAME).exists()


def test_allowed_drift_is_published_and_said(tmp_path: Path) -> None:
    found = certificate("merge-float32", replace(FINE, max_abs_delta=0.5), allow_drift=True)
    found.write(tmp_path)
    assert "DRIFT beyond the tolerance, allowed: max |Δ log-probability| 0.5 > 0.001" in found.summary()
    said = read(tmp_path)
    assert said is not None
    assert said["verdict"] == "drift allowed"
    assert said["excess"] == found.excess


def test_what_is_written_reads_back_and_is_plain_json(tmp_path: Path) -> None:
    certificate("cpu-int8").write(tmp_path)
    said = read(tmp_path)
    assert said is not None
    assert (said["verdict"], said["max_abs_delta"], said["positions"]) == ("within tolerance", 1e-5, 100)
    assert said["tolerance"]["mean_kl"] == TOLERANCES["cpu-int8"].mean_kl
    certificate("cpu-int8", replace(FINE, max_abs_delta=math.nan), allow_drift=True).write(tmp_path)
    assert json.loads((tmp_path / NAME).read_text(), parse_constant=pytest.fail)["max_abs_delta"] is None


def test_unknown_steps_and_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no tolerance is set for the step 'int3'"):
        certificate("int3").check()
    assert read(tmp_path) is None
    (tmp_path / NAME).write_text("{")
    with pytest.raises(ModelError, match="damaged"):
        read(tmp_path)
