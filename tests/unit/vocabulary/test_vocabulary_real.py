"""Real Chinese consultations: what an extension learned on nine tenths of them saves on the last tenth."""

import os
from pathlib import Path

import pytest
from tests.vocabularies import ENGLISH, both, extended, tokenizer_folder

from medicalgpt.data.texts import texts
from medicalgpt.vocabulary.report import compare

REAL = Path(os.environ.get("MEDICALGPT_REAL_DATA") or Path(__file__).resolve().parents[4].parent / "shared/data")

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data at {REAL} (set MEDICALGPT_REAL_DATA)"),
]


def test_consultations_become_half_as_long_and_english_stays(tmp_path: Path) -> None:
    rows = list(texts(list(REAL.glob("Toyhom*/*.csv"))))
    assert len(rows) > 15_000
    learn, held_out = [t for i, t in enumerate(rows) if i % 10], rows[::10]
    base = tokenizer_folder("control tokens behind", tmp_path / "base")
    report = extended(base, tmp_path / "grown", 2000, learn, min_count=5)
    assert (report.unreached, report.changed_ascii) == (0, 0)
    found = compare(*both(base, tmp_path / "grown"), [*held_out, *ENGLISH])
    chinese = [row for row in found if row.language.startswith("zh")]
    old, new = (sum(getattr(row, which).tokens for row in chinese) for which in ("old", "new"))
    assert new < 0.4 * old
    assert all(row.old.changed == row.new.changed for row in found)
    (english,) = [row for row in found if row.language == "Latin"]
    assert english.old.tokens == english.new.tokens
