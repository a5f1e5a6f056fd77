"""Records (what a sample is), the shapes they are read from, the split, and a ledger of all rows.

Modules here are imported by their own names: who needs a record need not load every reader. Two names that notebooks were printed
with are still found.
"""

from importlib import import_module

_PRINTED = {"Ledger": "medicalgpt.data.ledger", "read": "medicalgpt.data.reader"}


def __getattr__(name: str) -> object:
    if name not in _PRINTED:
        raise AttributeError(f"module 'medicalgpt.data' has no attribute {name!r}; import the module that has it")
    return getattr(import_module(_PRINTED[name]), name)
