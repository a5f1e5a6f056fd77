"""What the files of an evaluation, and of a look for leaks, are called; nothing is imported for it."""

from typing import Final

RESULTS: Final = "results.json"
ITEMS: Final = "items.jsonl.gz"
PROGRESS: Final = ".progress.jsonl"
LEAKAGE: Final = "leakage.json"
