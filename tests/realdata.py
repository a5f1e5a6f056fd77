"""Where real medical text lies beside the project; tests that need it are skipped where it does not."""

import os
from pathlib import Path

import pytest

REAL = Path(os.environ.get("MEDICALGPT_REAL_DATA") or Path(__file__).resolve().parents[2] / "shared/data")
NEEDS_REAL = [
    pytest.mark.realdata,
    pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data at {REAL} (set MEDICALGPT_REAL_DATA)"),
]
