"""Conversations that a reader wants to find again: one JSON file each, in a folder that only its owner can read.

Nothing is kept unless whoever starts the page names a folder and a reader asks for it, conversation by conversation.
"""

import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError

from medicalgpt.errors import ServeError
from medicalgpt.serve.web.conversation import Conversation

MOST: Final = 1000
"""Conversations in a folder: as many as a search reads in a moment."""

_LARGEST: Final = 4 * 2**20  # bytes of one; a context of a million tokens fits
_NAME: Final = re.compile("[0-9a-f]{32}")
_TITLE: Final = 60  # characters
_FORMAT: Final = TypeAdapter(Conversation)


@dataclass(frozen=True, slots=True)
class KeptEntry:
    """One of the list: `title` is how its first question begins."""

    name: str
    title: str
    changed: datetime


class KeptConversations:
    """A folder of them. Several tabs may share it; a file is there as a whole or not at all.

    Args:
        folder: made with mode 0700 where it is missing.

    Raises:
        ServeError: it cannot be made or used, or others may read it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with _explained(folder):
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            mode = folder.stat().st_mode
            if not stat.S_ISDIR(mode):
                raise ServeError(f"--keep {folder}: this is a file; name a folder")
            if sys.platform != "win32" and mode & 0o077:
                raise ServeError(
                    f"--keep {folder}: others on this machine may look into it (mode {stat.S_IMODE(mode):04o}); "
                    f"run chmod 700 {folder}, or name a new folder"
                )

    def new_name(self) -> str:
        """For one more. Raises ServeError when the folder is full."""
        if len(self._names()) >= MOST:
            raise ServeError(f"{self.folder} holds {MOST} conversations, and no more are kept; delete some first")
        return uuid4().hex

    def save(self, name: str, conversation: Conversation) -> None:
        """Write a conversation in place of what was kept under that name. Raises ServeError."""
        data = _FORMAT.dump_json(conversation, indent=1)
        if len(data) > _LARGEST:
            raise ServeError(f"the conversation has {len(data)} bytes; at most {_LARGEST} are kept")
        path, temporary = self._path(name), self.folder / f".{name}.{uuid4().hex}.tmp"
        with _explained(path):
            try:
                handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(handle)
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)

    def load(self, name: str) -> Conversation:
        """A kept conversation. Raises ServeError: it is gone, or no longer what was written."""
        path = self._path(name)
        with _explained(path):
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            with os.fdopen(handle, "rb") as file:
                data = file.read(_LARGEST + 1)
        try:
            found = _FORMAT.validate_json(data) if len(data) <= _LARGEST else Conversation()
        except ValidationError:
            found = Conversation()
        if not found.exchanges or any(not 0 <= e.shown < len(e.answers) for e in found.exchanges):
            raise ServeError(f"{path} is damaged; delete it, or put the file back as it was")
        return found

    def delete(self, name: str) -> None:
        """For good; nothing where it is gone already. Raises ServeError."""
        with _explained(self._path(name)):
            self._path(name).unlink(missing_ok=True)

    def search(self, words: str) -> tuple[list[KeptEntry], int]:
        """Those in which the text stands, in whatever case, and all for an empty one: the latest first. With the number of
        damaged files.
        """
        wanted, found, damaged = words.strip().casefold(), [], 0
        for name in self._names():
            try:
                conversation = self.load(name)
                changed = datetime.fromtimestamp(self._path(name).stat().st_mtime, UTC)
            except (ServeError, OSError):
                damaged += self._path(name).exists()
                continue
            if wanted in _text(conversation).casefold():
                found.append(KeptEntry(name, _title(conversation), changed))
        return sorted(found, key=lambda entry: entry.changed, reverse=True), damaged

    def _names(self) -> list[str]:
        with _explained(self.folder):
            files = [file for file in self.folder.iterdir() if file.suffix == ".json"]
        return [file.stem for file in files if _NAME.fullmatch(file.stem)][:MOST]

    def _path(self, name: str) -> Path:
        """Of a name that came from outside, so only what we make ourselves leads to a file."""
        if not _NAME.fullmatch(name):
            raise ServeError("this is not the name of a kept conversation; choose one from the list")
        return self.folder / f"{name}.json"


def _text(conversation: Conversation) -> str:
    parts = (text for e in conversation.exchanges for text in (e.question, *(answer.text for answer in e.answers)))
    return "\n".join(parts)


def _title(conversation: Conversation) -> str:
    first = " ".join(conversation.exchanges[0].question.split())
    return first if len(first) <= _TITLE else first[: _TITLE - 1] + "…"


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ServeError(f"{path} is not there, or the folder above it is missing") from error
    except OSError as error:
        raise ServeError(f"{path} cannot be used: {error.strerror}") from error
