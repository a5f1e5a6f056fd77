"""What a run's folder holds of ours, by name: one table for what is deleted and for what is packed."""

from collections.abc import Mapping
from typing import Final, Literal

from medicalgpt.runs import corpus, failure, manifest, trust_file
from medicalgpt.runs.folder import LOCK, MERGED
from medicalgpt.runs.ownership import CONFIG, RUN_FILE

Group = Literal["", "text", "weights", "checkpoints", "evaluation", "ignored"]

MADE: Final[Mapping[str, Group]] = {
    manifest.NAME: "",
    "report.html": "text",
    trust_file.PAGE: "text",
    trust_file.NAME: "text",
    "metrics.jsonl": "",
    "samples.jsonl": "text",
    "figures": "",
    "model": "weights",
    MERGED: "weights",
    "checkpoints": "checkpoints",
    "evaluation": "evaluation",
    "tensorboard": "",
    "rollout": "checkpoints",
    corpus.TRAIN: "text",
    corpus.HELD_OUT: "text",
    "curation.md": "text",
    "curation.json": "text",
    corpus.ITEMS: "",
    "verdict.json": "",
    "medicalgpt": "",
    failure.NAME: "",
    CONFIG: "",
    LOCK: "ignored",
    RUN_FILE: "",
}
"""The first part of a path in a run → what it is: "" is for everybody, and of an evaluation its files tell.

It is deleted in this order: what tells that a folder is a run comes last, so that a broken off deletion can be repeated.
"""
