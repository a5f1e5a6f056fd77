"""Train a stage from Python: the same schema, checks and run folder as `medicalgpt train`."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from medicalgpt.config.base import StageConfig
from medicalgpt.config.loader import Resolved, load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.overrides import Overrides, override_words
from medicalgpt.errors import ConfigError
from medicalgpt.export.merge import merge_run
from medicalgpt.pipeline.run import Interrupted
from medicalgpt.runs.run import Run
from medicalgpt.training.context import Outcome, Status
from medicalgpt.training.stage import run_stage

PathLike = str | os.PathLike[str]
Value = Any
"""A value of a config key: whatever YAML can say, and paths."""


def load_config(
    stage: str,
    path: PathLike | None = None,
    overrides: Overrides = (),
    **sections: Value,
) -> Resolved[Any]:
    """The checked config of a stage: defaults, then the file, then `overrides`, then `sections`.

    Args:
        stage: "pt", "sft", "dpo", … or the name of a registered one.
        path: a YAML file, as for `medicalgpt train --config`.
        overrides: dotted keys with their values, `{"train.max_steps": 50}`, or words as on the command line.
        sections: top-level keys: `model="smollm2-135m"`, `data="rows.jsonl"`, `train={"max_steps": 50}`, `output_dir=…`.

    Returns:
        `.value` is the typed config, `.origin` says of each dotted key where its value comes from.

    Raises:
        ConfigError: every problem, one a line.
    """
    flat: dict[str, Value] = {}
    for name, value in sections.items():
        if value is None:
            continue
        short = {"model": "model.base", "data": "data.train"}.get(name)
        if isinstance(value, Mapping):
            flat |= {f"{name}.{key}": inner for key, inner in value.items()}
        elif short is not None:
            flat[short] = [value] if name == "data" and isinstance(value, str | os.PathLike) else value
        else:
            flat[name] = value
    file = None if path is None else os.fspath(path)
    return load(stage_schema(stage), file, [*override_words(overrides), *override_words(flat)])


def train(
    stage: str,
    *,
    config: PathLike | Resolved[Any] | None = None,
    data: Value = None,
    output_dir: PathLike | None = None,
    model: Value = None,
    overrides: Overrides = (),
    parents: PathLike | Sequence[PathLike] = (),
    **sections: Value,
) -> Run:
    """Train one stage into a run folder; the same call again goes on where it was stopped, or finds it finished.

    Args:
        stage: "pt", "sft", "dpo", "orpo", "simpo", "kto", "rm", "ppo", "rloo", "grpo", "distill", or a registered one.
        config: a YAML file, or what `load_config` returned; with the latter nothing else is given but `parents`.
        data: a file or folder, a list of them, or the `data` section as a mapping.
        output_dir: the run folder.
        model: an embedded model's name, a folder, a finished run, a Hub id, or the `model` section as a mapping.
        overrides: dotted keys, `{"train.max_steps": 50}`.
        parents: a run, or several, that this one continues, for the manifest.
        sections: other top-level keys, e.g. `train={"max_steps": 50}`, `lora={"rank": 16}`.

    Raises:
        MedicalGPTError: bad input, a failed proof, or a run that had to stop. Interrupted: a signal stopped it, and it
            saved a checkpoint.
    """
    if isinstance(config, Resolved):
        if type(config.value) is not stage_schema(stage):
            raise ConfigError(f"the loaded config is no config of {stage}; load it with load_config({stage!r}, …)")
        if any(v is not None for v in (data, output_dir, model)) or overrides or sections:
            raise ConfigError("a loaded config is complete; give keys to load_config, not to train")
        resolved = config
    else:
        if isinstance(model, Run) and model.finished:
            model = model.model
        resolved = load_config(stage, config, overrides, data=data, output_dir=output_dir, model=model, **sections)
    before = [parents] if isinstance(parents, str | os.PathLike) else parents
    outcome = train_stage(resolved, tuple(Path(p) for p in before))
    if outcome.status is Status.INTERRUPTED:
        raise Interrupted(stage, outcome.signal)
    return Run(outcome.folder)


def train_stage(resolved: Resolved[Any], parents: tuple[Path, ...] = ()) -> Outcome:
    """Run a stage whose config is complete; a reward model trained with LoRA is merged, too. Raises MedicalGPTError."""
    outcome = run_stage(resolved, parents)
    config: StageConfig = resolved.value
    finished, first = outcome.status is not Status.INTERRUPTED, speaks_for_all()
    if finished and first and config.scores and config.lora.enabled:
        # Other programs read a classifier's score at the last token that is not padding, and would take the padding
        # token from the base's config; the merged folder names the right one.
        merge_run(outcome.folder, Console(stderr=True, soft_wrap=True, markup=False), config.model.trust_remote_code)
    return outcome


def speaks_for_all() -> bool:
    """Whether this is the first of the processes of a run, as torchrun numbers them."""
    return int(os.environ.get("RANK", "0")) == 0
