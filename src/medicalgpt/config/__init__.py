"""Typed schema of every command and the one loader: YAML + key=value overrides, all errors at once."""

from medicalgpt.config.loader import Resolved, dump, load, peek
from medicalgpt.config.lookup import did_you_mean, stage_schema
from medicalgpt.config.stages import STAGES

__all__ = ["STAGES", "Resolved", "did_you_mean", "dump", "load", "peek", "stage_schema"]
