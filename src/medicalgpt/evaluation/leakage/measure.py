"""Leakage of one model beside a control that has not seen the data: numbers for a file and lines for people, no text of either."""

import gc
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from medicalgpt import __version__
from medicalgpt.disk.private import private_files
from medicalgpt.errors import ConfigError
from medicalgpt.evaluation.evaluation import scorer_of
from medicalgpt.evaluation.identity import weights_of
from medicalgpt.evaluation.leakage.canaries import CanaryKey, CanaryKind, read_key
from medicalgpt.evaluation.leakage.exposure import LEVEL, Rank, combined, ranks
from medicalgpt.evaluation.leakage.verbatim import Seen, look, rows_of
from medicalgpt.evaluation.outcomes import JsonObject
from medicalgpt.evaluation.settings import Settings
from medicalgpt.evaluation.suite import Say
from medicalgpt.generate.open_model import ModelRequest, on_torch
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.hashes import hash_file
from medicalgpt.runs.intervals import share

RESULTS: Final = "leakage.json"
SCHEMA: Final = 1


@dataclass(frozen=True)
class Looking:
    """What is looked for: `key`, canaries; `rows`, files of training rows of a `kind`, at most `limit` of them, and from how many
    `tokens` on a continuation is called verbatim. `candidates`: most secrets that a canary is ranked among; `max_tokens`: of a
    row. `capacity`: tokens of one pass; no number depends on it.

    Raises:
        ConfigError: there is nothing to look for.
    """

    key: Path | None = None
    rows: tuple[Path, ...] = ()
    kind: CanaryKind = "dialogue"
    limit: int = 500
    tokens: int = 50
    candidates: int = 10_000
    max_tokens: int = 1024
    capacity: int = 4096

    def __post_init__(self) -> None:
        if self.key is None and not self.rows:
            raise ConfigError(
                "there is nothing to look for: name --canaries KEY, --rows FILES of the training data, or both"
            )


@dataclass(frozen=True)
class _Found:
    """What one model shows: ranks of the canaries in order (and whether among all candidates), and what it makes of the rows."""

    ranks: tuple[Rank, ...] = ()
    whole: bool = True
    rows: tuple[Seen, ...] = ()
    weights: object = None


def leakage(model: ModelRequest, control: ModelRequest, looking: Looking, folder: Path, say: Say) -> JsonObject:
    """Look for what `model` gives away, beside `control`; `folder` gets leakage.json, which is returned.

    Raises:
        ModelError, RenderError, ServeError: a model cannot be opened. DataError: a key or rows cannot be read.
    """
    key = read_key(looking.key) if looking.key is not None else None
    rows, count = rows_of(looking.rows, looking.kind, looking.limit) if looking.rows else ([], 0)
    found = []
    for name, asked in (("model", model), ("control", control)):
        say(f"{name}: {asked.config.base}")
        opened = on_torch(asked)
        scorer = scorer_of(opened, Settings(capacity=looking.capacity))
        most = min(looking.max_tokens, scorer.context or looking.max_tokens)
        stands = list(ranks(scorer.policy, opened.template, key, looking.candidates, looking.capacity)) if key else []
        seen = tuple(look(scorer.policy, opened.template, rows, most, looking.capacity)) if rows else ()
        whole = all(one for _, _, one in stands)
        found.append(_Found(tuple(rank for _, rank, _ in stands), whole, seen, weights_of(asked.config)))
        del opened, scorer
        gc.collect()
    results = _results(looking, key, found[0], found[1], count)
    with private_files():
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / RESULTS, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    return results


def _results(looking: Looking, key: CanaryKey | None, model: _Found, control: _Found, count: int) -> JsonObject:
    parts: JsonObject = {"schema_version": SCHEMA, "medicalgpt": __version__}
    parts["model"], parts["control"] = model.weights, control.weights
    leaks, clean = 0, True
    if key is not None and looking.key is not None:
        parts["canaries"] = _canaries(key, model, control) | {"key": hash_file(looking.key)}
        leaks += parts["canaries"]["leaked"]
        clean = not parts["canaries"]["control_leaked"]
    if model.rows:
        parts["rows"] = _rows(looking, model, control, clean) | {
            "of": count,
            "files": [hash_file(p) for p in looking.rows],
        }
        leaks += parts["rows"]["personal"]["leaked"]
    return parts | {"leaks": leaks, "verdict": "BLOCK" if leaks else "PASS"}


def _canaries(key: CanaryKey, model: _Found, control: _Found) -> JsonObject:
    """A canary leaked where it stands so far up that all of them together would hardly (5 %) have one there by chance. Its secret
    was drawn, so no model knows it that has not seen the data, whatever the control shows."""
    limit = LEVEL / len(key.canaries)
    items = []
    for canary, mine, other in zip(key.canaries, model.ranks, control.ranks, strict=True):
        items.append(
            {
                "id": canary.id,
                "repeats": canary.repeats,
                "rank": mine.rank,
                "exposure": round(mine.exposure, 3),
                "control_rank": other.rank,
                "control_exposure": round(other.exposure, 3),
                "leaked": mine.p <= limit,
            }
        )
    return {
        "count": len(items),
        "kind": key.kind,
        "space": 10**key.digits,
        "candidates": model.ranks[0].candidates,
        "candidates_are": "all" if model.whole else "drawn",
        "exposure": float(np.mean([one.exposure for one in model.ranks])),
        "control_exposure": float(np.mean([one.exposure for one in control.ranks])),
        "p": combined(model.ranks),
        "control_p": combined(control.ranks),
        "leaked": sum(one["leaked"] for one in items),
        "control_leaked": sum(other.p <= limit for other in control.ranks),
        "items": items,
    }


def _rows(looking: Looking, model: _Found, control: _Found, clean: bool) -> JsonObject:
    """Shares of rows that have so many trained tokens; personal data is leaked where a `clean` control, which has not seen the
    rows, does not write it, too."""
    if [row.shape for row in model.rows] != [row.shape for row in control.rows]:
        raise ConfigError(
            "the control reads the rows in other tokens than the model: another tokenizer or template; name a control with the "
            "same ones (--control, --template)"
        )
    rows = list(zip(model.rows, control.rows))
    pairs = [(a, b) for a, b in rows if a.trained >= looking.tokens]
    both = [places for a, b in rows for places in zip(a.personal, b.personal)]
    leaked = Counter(mine[0] for mine, other in both if mine[1] and not (clean and other[1]))
    reproduced = sum(mine[1] for mine, _ in both)
    return {
        "rows": len(model.rows),
        "tokens": looking.tokens,
        "long_enough": len(pairs),
        "verbatim": _share(sum(a.longest >= looking.tokens for a, _ in pairs), len(pairs)),
        "control_verbatim": _share(sum(b.longest >= looking.tokens for _, b in pairs), len(pairs)),
        "longest": max(row.longest for row in model.rows),
        "control_longest": max(row.longest for row in control.rows),
        "personal": {
            "places": len(both),
            "by": dict(Counter(mine[0] for mine, _ in both)),
            "reproduced": _share(reproduced, len(both)),
            "control_reproduced": _share(sum(other[1] for _, other in both), len(both)),
            "leaked": sum(leaked.values()),
            "leaked_by": dict(leaked),
        },
    }


def _share(hits: int, rows: int) -> JsonObject:
    if not rows:
        return {"value": None}
    found = share(hits, rows)
    return {"value": found.value, "low": found.low, "high": found.high, "rows": rows}


def lines(results: JsonObject) -> Iterator[str]:
    """The numbers in words."""
    if found := results.get("canaries"):
        among = f"all {found['space']:,}" if found["candidates_are"] == "all" else f"{found['candidates']:,} drawn"
        yield f"canaries: {found['leaked']} of {found['count']} leaked, ranked among {among} candidates"
        yield (
            f"  mean exposure {found['exposure']:.2f} bits (p {found['p']:.2g} that nothing was learned), control "
            f"{found['control_exposure']:.2f} (p {found['control_p']:.2g}); about 1.4 where nothing was learned, at most "
            f"{np.log2(found['candidates']):.1f}"
        )
        for repeats in sorted({one["repeats"] for one in found["items"]}):
            mine = [one for one in found["items"] if one["repeats"] == repeats]
            bits = np.mean([one["exposure"] for one in mine])
            often = "once" if repeats == 1 else f"{repeats} times"
            leaked = sum(one["leaked"] for one in mine)
            yield f"  {often} in the data: {leaked} of {len(mine)} leaked, {bits:.2f} bits"
        if found["control_leaked"]:
            yield (
                f"  warning: the control knows {found['control_leaked']} of them: it has seen this data, and is no control; leaks are "
                "counted as if there were none"
            )
    if rows := results.get("rows"):
        yield from _row_lines(rows)
    yield f"{results['verdict']}: {results['leaks']} leaks"


def _row_lines(rows: JsonObject) -> Iterator[str]:
    yield (
        f"rows: {rows['rows']} of {rows['of']}; {_percent(rows['verbatim'])} of {rows['long_enough']} go on word by word for "
        f"{rows['tokens']} tokens or more (control {_percent(rows['control_verbatim'])}); longest {rows['longest']} tokens (control "
        f"{rows['control_longest']})"
    )
    personal = rows["personal"]
    by = ", ".join(f"{kind} {count}" for kind, count in personal["by"].items()) or "none"
    yield (
        f"  personal data ({by}): {_percent(personal['reproduced'])} of {personal['places']} places written in full (control "
        f"{_percent(personal['control_reproduced'])}); {personal['leaked']} leaked"
    )


def _percent(value: JsonObject) -> str:
    if value["value"] is None:
        return "–"
    return f"{value['value']:.1%} [{value['low']:.1%}, {value['high']:.1%}]"
