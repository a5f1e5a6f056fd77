"""Typed schema of every command and the one loader: YAML + key=value overrides, all errors at once."""

from medicalgpt.config.loader import Resolved, dump, load, peek
from medicalgpt.config.lookup import did_you_mean, schema_of, stage_schema
from medicalgpt.config.overrides import Overrides, override_words
from medicalgpt.config.stages import STAGES

__all__ = [
    "STAGES",
    "Overrides",
    "Resolved",
    "did_you_mean",
    "dump",
    "load",
    "override_words",
    "peek",
    "schema_of",
    "stage_schema",
]
