"""Leakage of one model beside a control that has not seen the data: numbers for a file, and no text of either."""

import gc
import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from medicalgpt import __version__
from medicalgpt.disk.private import private_files
from medicalgpt.errors import ConfigError
from medicalgpt.evaluation.evaluation import MODEL_FILES, scorer_of
from medicalgpt.evaluation.identity import weights_of
from medicalgpt.evaluation.leakage.canaries import CanaryKey, CanaryKind, read_key
from medicalgpt.evaluation.leakage.exposure import LEVEL, Rank, combined, ranks
from medicalgpt.evaluation.leakage.planted import Planted, longest_row, planted, run_of
from medicalgpt.evaluation.leakage.told import Leakage, note_of
from medicalgpt.evaluation.leakage.verbatim import Seen, look, rows_of
from medicalgpt.evaluation.names import LEAKAGE as RESULTS
from medicalgpt.evaluation.outcomes import JsonObject
from medicalgpt.evaluation.settings import Settings
from medicalgpt.evaluation.suite import Say
from medicalgpt.generate.open_model import ModelRequest, on_torch
from medicalgpt.runs import manifest
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.hashes import code_hash, hash_file, hash_json, hash_tree
from medicalgpt.runs.intervals import share

SCHEMA: Final = 1


@dataclass(frozen=True)
class Looking:
    """What is looked for: `key`, canaries; `rows`, files of training rows of a `kind`, at most `limit` of them, and from how many
    `tokens` on a continuation is called verbatim. `candidates`: most secrets that a canary is ranked among; `max_tokens`: of a
    row, None: as in the model's training. `capacity`: tokens of one pass; no number depends on it.

    Raises:
        ConfigError: there is nothing to look for.
    """

    key: Path | None = None
    rows: tuple[Path, ...] = ()
    kind: CanaryKind = "dialogue"
    limit: int = 500
    tokens: int = 50
    candidates: int = 10_000
    max_tokens: int | None = None
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


def leakage(model: ModelRequest, control: ModelRequest, looking: Looking, folder: Path, say: Say) -> Leakage:
    """Look for what `model` gives away, beside `control`; `folder` gets leakage.json. Finished with the same key, nothing is done.

    Raises:
        ModelError, RenderError, ServeError: a model cannot be opened. DataError: a key or rows cannot be read.
    """
    key = read_key(looking.key) if looking.key is not None else None
    run = run_of(model.config.base)
    facts = _facts(model, control, looking, run)
    if (done := _finished(folder, facts)) is not None:
        return done
    rows, count = rows_of(looking.rows, looking.kind, looking.limit) if looking.rows else ([], 0)
    longest = looking.max_tokens or longest_row(run)
    found, plant = list[_Found](), Planted(read=True)
    for name, asked in (("model", model), ("control", control)):
        say(f"{name}: {asked.config.base}")
        opened = on_torch(asked)
        scorer = scorer_of(opened, Settings(capacity=looking.capacity))
        most = min(longest, scorer.context or longest)
        if key is not None and not found:
            plant = planted(key, run, opened.template, longest)
        stands = list(ranks(scorer.policy, opened.template, key, looking.candidates, looking.capacity)) if key else []
        seen = tuple(look(scorer.policy, opened.template, rows, most, looking.capacity)) if rows else ()
        whole = all(one for _, _, one in stands)
        found.append(_Found(tuple(rank for _, rank, _ in stands), whole, seen, weights_of(asked.config)))
        del opened, scorer
        gc.collect()
    results = _results(looking, key, found[0], found[1], count, plant) | {"key": facts}
    with private_files():
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / RESULTS, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    return Leakage(folder, results)


def _facts(model: ModelRequest, control: ModelRequest, looking: Looking, run: Path | None) -> str:
    """One hash of all that the numbers depend on."""
    given = (*looking.rows, *([looking.key] if looking.key is not None else []))
    return hash_json(
        {
            "models": [[weights_of(one.config, MODEL_FILES), asdict(one.options)] for one in (model, control)],
            "looking": {name: str(value) for name, value in vars(looking).items()},
            "files": [_hash(path) for path in given if path.exists()],
            "run": hash_file(run / manifest.NAME) if run is not None else None,
            "code": [code_hash(), hash_json(hash_tree(Path(__file__).parent, ("*.py",)))],
        }
    )


def _hash(path: Path) -> str:
    """Of a file, or of all files of a folder."""
    return hash_json(hash_tree(path, ("**/*",))) if path.is_dir() else hash_file(path)


def _finished(folder: Path, key: str) -> Leakage | None:
    """What was found before, of the same key."""
    try:
        found = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return Leakage(folder, found) if isinstance(found, dict) and found.get("key") == key else None


def _results(
    looking: Looking, key: CanaryKey | None, model: _Found, control: _Found, count: int, plant: Planted
) -> JsonObject:
    parts: JsonObject = {"schema_version": SCHEMA, "medicalgpt": __version__}
    parts["model"], parts["control"] = model.weights, control.weights
    leaks, clean, note = 0, True, ""
    if key is not None and looking.key is not None:
        parts["canaries"] = _canaries(key, model, control, plant) | {"key": hash_file(looking.key)}
        note = note_of(parts["canaries"])
        leaks += parts["canaries"]["leaked"]
        clean = not parts["canaries"]["control_leaked"]
    if model.rows:
        parts["rows"] = _rows(looking, model, control, clean) | {
            "of": count,
            "files": [_hash(p) for p in looking.rows],
        }
        leaks += parts["rows"]["personal"]["leaked"]
    return parts | {"leaks": leaks, "note": note, "verdict": Leakage(Path(), {"leaks": leaks, "note": note}).verdict}


def _canaries(key: CanaryKey, model: _Found, control: _Found, plant: Planted) -> JsonObject:
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
                "left_out": plant.left_out.get(canary.id),
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
        "data_read": plant.read,
        "left_out": dict(sorted(Counter(plant.left_out.values()).items())),
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
