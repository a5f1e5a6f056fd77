"""Records (what a sample is), the shapes they are read from, the split, and a ledger of all rows."""

from medicalgpt.data.fingerprint import fingerprint
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.records import Dialogue, Document, Feedback, Kind, Message, Preference, Record, Role, Source
from medicalgpt.data.report import FileReport, detect
from medicalgpt.data.sources import expand
from medicalgpt.data.split import choose_eval, group_key, leaks

__all__ = [
    "Dialogue",
    "Document",
    "Feedback",
    "FileReport",
    "Kind",
    "Ledger",
    "Message",
    "Preference",
    "Record",
    "Role",
    "Source",
    "choose_eval",
    "detect",
    "expand",
    "fingerprint",
    "group_key",
    "leaks",
    "read",
]
