"""What is told of a curation: counts, shares and names of files, never a text. As JSON for programs and Markdown for people."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from medicalgpt.config.curation import CurateConfig
from medicalgpt.curation.choose import Chosen
from medicalgpt.curation.overlap import SoughtItem
from medicalgpt.curation.quality import RULES
from medicalgpt.curation.shard_files import Told

SCHEMA: Final = 1
Report = dict[str, object]
_LIMITS: Final = (
    "Paraphrases of test items, and items translated or shown as pictures, are not found.",
    "Questions shorter than 10 (Chinese) or 24 (English) characters are found with their options only.",
    "What no detector knows as personal data stays; look at rows of the corpus before it leaves the house.",
)


def report_of(
    config: CurateConfig,
    told: Told,
    chosen: Chosen,
    source_of: np.ndarray,
    items: Sequence[SoughtItem],
    unfindable: Mapping[str, int],
) -> Report:
    """All counts of a curation."""
    ledger = told.ledger
    rows = sum(ledger.seen.values())
    named = list(config.sources)
    return {
        "schema_version": SCHEMA,
        "rows": rows,
        "kept": ledger.total("kept"),
        "dropped": ledger.total("dropped"),
        "reasons": dict(sorted((reason, n) for (outcome, reason), n in ledger.reasons.items() if outcome == "dropped")),
        "quality": _quality(told, rows),
        "personal_data": _personal(config, told),
        "duplicates": {
            "by_source": _nested(chosen.duplicates),
            "near_pairs": chosen.pairs,
            "same_question_kept": chosen.asked_again,
        },
        "tests": tests_of(items, unfindable, chosen, source_of, named),
        "held_out": {"rows": len(chosen.held_out)},
        "mix": {
            "unit": config.mix.unit,
            "sources": {name: taken.as_dict() for name, taken in chosen.taken.items()},
            "rows_written": len(chosen.train),
        },
        "limits": list(_LIMITS),
    }


def _quality(told: Told, rows: int) -> Report:
    counts = Counter[str]()
    for (_, rule), count in told.quality.items():
        counts[rule] += count
    return {
        rule: {
            "rows": counts[rule],
            "share": round(counts[rule] / max(1, rows), 6),
            "by_source": {source: n for (source, one), n in sorted(told.quality.items()) if one == rule},
        }
        for rule, _ in RULES
    }


def _personal(config: CurateConfig, told: Told) -> Report:
    asked = config.personal_data
    if not asked.enabled:
        return {"looked_for": False}
    return {
        "looked_for": True,
        "detectors": asked.detectors,
        "languages": asked.languages,
        "operator": asked.operator,
        "rows": sum(told.personal_rows.values()),
        "rows_by_source": dict(sorted(told.personal_rows.items())),
        "found": _nested(told.personal),
    }


def _nested(counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (source, name), count in sorted(counts.items()):
        found.setdefault(source, {})[name] = count
    return found


def tests_of(
    items: Sequence[SoughtItem],
    unfindable: Mapping[str, int],
    chosen: Chosen,
    source_of: np.ndarray,
    names: Sequence[str],
) -> Report:
    """Of every test: how many items stand in the rows, by which source, and how many are in the corpus still."""
    there = set(np.unique(chosen.train).tolist())
    found: Report = {}
    for test in dict.fromkeys(item.test for item in items):
        ids = {item.id for item in items if item.test == test}
        hits = [(row, hit) for row, listed in sorted(chosen.hits.items()) for hit in listed if hit.test == test]
        by_source: dict[str, set[str]] = {}
        for row, hit in hits:
            by_source.setdefault(names[source_of[row]], set()).add(hit.id)
        found[test] = {
            "items": len(ids),
            "found": len({hit.id for _, hit in hits}),
            "verbatim": len({hit.id for _, hit in hits if hit.verbatim}),
            "rows": len({row for row, _ in hits}),
            "by_source": {source: len(known) for source, known in sorted(by_source.items())},
            "in_corpus": len({hit.id for row, hit in hits if row in there}),
            "too_short_to_find": unfindable.get(test, 0),
        }
    return found


def items_in_corpus(chosen: Chosen) -> dict[str, list[str]]:
    """Ids of the items that stand in rows of the corpus, by test."""
    found: dict[str, set[str]] = {}
    train = set(np.unique(chosen.train).tolist())
    for row, hits in chosen.hits.items():
        for hit in hits if row in train else ():
            found.setdefault(hit.test, set()).add(hit.id)
    return {test: sorted(ids) for test, ids in sorted(found.items())}
