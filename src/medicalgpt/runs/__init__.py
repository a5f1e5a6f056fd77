"""Run folders, manifests, hashes, resume rules and equivalence certificates."""

from medicalgpt.runs.folder import RunFolder, StartState
from medicalgpt.runs.hashes import code_hash, hash_file, hash_json, hash_text, hash_tree
from medicalgpt.runs.manifest import Hashes, Manifest, Parent, versions
from medicalgpt.runs.metrics import MetricsLog, SampleLog
from medicalgpt.runs.run_key import RunKey

__all__ = [
    "Hashes",
    "Manifest",
    "MetricsLog",
    "Parent",
    "RunFolder",
    "RunKey",
    "SampleLog",
    "StartState",
    "code_hash",
    "hash_file",
    "hash_json",
    "hash_text",
    "hash_tree",
    "versions",
]
