"""Real Chinese consultations: what an extension learned on nine tenths of them saves on the last tenth."""

from pathlib import Path

from tests.realdata import NEEDS_REAL, REAL
from tests.vocabularies import ENGLISH, both, extended, tokenizer_folder

from medicalgpt.data.texts import texts
from medicalgpt.vocabulary.report import compare

pytestmark = NEEDS_REAL


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
