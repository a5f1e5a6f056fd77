"""The settings of a run that people ask for first, read from its config.resolved.yaml."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

Settings = list[tuple[str, str]]


def settings(config: Path) -> Settings:
    """(name, value) of learning rate, adapter, epochs, batch and objective; empty where there is no readable config."""
    try:
        values = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return []
    return [(name, value) for name, value in _settings(values) if value] if isinstance(values, dict) else []


def _settings(config: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    train, lora, data = (_section(config, name) for name in ("train", "lora", "data"))
    yield "Learning rate", _with(train, "learning_rate", "{learning_rate:g}, {schedule}, warm-up {warmup:g}")
    if lora.get("enabled"):
        yield "Trained", _with(lora, "rank", "{variant} adapters: rank {rank}, alpha {alpha:g}, dropout {dropout:g}")
    else:
        yield "Trained", "all weights" if lora else ""
    if config.get("quantization") not in (None, "none"):
        yield "Frozen base", str(config["quantization"])
    steps = train.get("max_steps")
    yield "Steps", f"{steps:,}" if isinstance(steps, int) else ""
    yield "Epochs", "" if isinstance(steps, int) else _with(train, "epochs", "{epochs:g}")
    yield "Tokens a step", _with(train, "tokens_per_step", "{tokens_per_step:,}")
    yield "Longest sample", _with(data, "max_tokens", "{max_tokens:,} tokens")
    yield "Training data", _files(data.get("train"))
    yield (
        "Held-out data",
        _files(data.get("eval")) or _with(data, "eval_fraction", "{eval_fraction:.1%} of the training data"),
    )
    for name in ("objective", "rollout", "reward"):
        section = _section(config, name)
        plain = {key: value for key, value in section.items() if isinstance(value, str | int | float)}
        yield name.capitalize(), ", ".join(f"{key} {_plain(value)}" for key, value in plain.items())


def _section(config: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = config.get(name)
    return found if isinstance(found, dict) else {}


def _with(section: Mapping[str, object], key: str, form: str) -> str:
    """`form` filled with the section's values; "" where `key` or another of them is missing or of another type."""
    try:
        return form.format_map(section) if section.get(key) is not None else ""
    except (KeyError, ValueError, TypeError):
        return ""


def _files(paths: object) -> str:
    """Names of files, without the folders of the machine they lie on."""
    return ", ".join(Path(str(path)).name for path in paths) if isinstance(paths, list) else ""


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
