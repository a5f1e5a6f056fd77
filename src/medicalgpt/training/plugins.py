"""Stages from files of the user: a .py file that calls `register_stage`. Only files that the user names are run."""

import hashlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from medicalgpt.config.base import StageConfig
from medicalgpt.errors import ConfigError, MedicalGPTError
from medicalgpt.training.stages import STAGES, sources, unregister_stage


def load_plugins(paths: Sequence[str | Path], below: Path | None = None) -> None:
    """Run each file once in this process; a relative path starts at `below`, or at the current directory.

    Raises:
        ConfigError: it is no .py file, its code raises, or it registers no stage.
    """
    for path in paths:
        _load(Path(path).expanduser() if below is None else below / Path(path).expanduser(), str(path))


def plugin_hashes(config: StageConfig) -> dict[str, str]:
    """SHA-256 of the user's code that defines a stage, by "plugin NAME.py"; none for the stages of this package."""
    return {f"plugin {name}": hashlib.sha256(text).hexdigest() for name, text in sources(config).items()}


def _load(path: Path, shown: str) -> None:
    if path.suffix != ".py" or not path.is_file():
        raise ConfigError(f"plugin {shown}: there is no such .py file; name a file that calls register_stage")
    # Two plugins may have the same file name; pickling and inspect need the module under its own.
    name = f"medicalgpt_plugin_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise ConfigError(f"plugin {shown}: Python cannot import this file")
    known = set(STAGES)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's own code raises while it is imported
        del sys.modules[name]
        for stage in set(STAGES) - known:
            unregister_stage(stage)
        if isinstance(error, MedicalGPTError):
            raise ConfigError(f"plugin {shown}: {error}") from error
        raise ConfigError(f"plugin {shown} cannot be imported: {type(error).__name__}: {error}") from error
    if not set(STAGES) - known:
        raise ConfigError(
            f"plugin {shown} registers no stage; call medicalgpt.extend.register_stage(name, config, objective) in it"
        )
