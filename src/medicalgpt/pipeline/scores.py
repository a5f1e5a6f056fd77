"""What a model of a pipeline reaches on the held-out sets of `compare`, measured once and kept."""

import gc
import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from medicalgpt.config.pipeline import PipelineConfig
from medicalgpt.config.sections import ModelConfig
from medicalgpt.errors import RunError
from medicalgpt.evaluation.outcomes import JsonObject
from medicalgpt.language import translated
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.hashes import hash_json


def scored(name: str, model: ModelConfig, config: PipelineConfig, console: Console) -> JsonObject:
    """scores/NAME.json of a model: `numbers`, `answers`, and `losses` row by row; for the same weights it is not done again.

    Raises:
        RunError: the file is damaged.
    """
    from medicalgpt.disk.cache import cache_root  # lazy: heavy
    from medicalgpt.evaluation.compare import score  # lazy: heavy
    from medicalgpt.evaluation.identity import weights_of  # lazy: heavy
    from medicalgpt.models.load import load  # lazy: heavy

    key = hash_json([weights_of(model), config.compare.model_dump()])
    path = Path(config.output_dir) / "scores" / f"{name}.json"
    if (stored := _stored(path)) is not None and stored["key"] == key:
        return stored
    console.print(translated(f"measuring {name} …"))
    loaded = load(model)
    found = score(loaded, config.compare, cache_root())
    out = {
        "key": key,
        "numbers": {k: asdict(v) for k, v in found.numbers.items()},
        "answers": found.answers,
        "losses": {k: v.tolist() for k, v in found.losses.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(out, indent=1, ensure_ascii=False))
    del loaded
    gc.collect()
    return out


def _stored(path: Path) -> JsonObject | None:
    """What an earlier run kept; None where there is nothing, or nothing of the rows."""
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return stored if {"key", "numbers", "answers", "losses"} <= set(stored) else None
    except (ValueError, TypeError, RecursionError):
        raise RunError(f"{path} is damaged: it is not JSON; remove it, and it is measured again") from None
