"""Who may read what this package writes of patients: the user alone, or the user's group where MEDICALGPT_SHARE=group."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from medicalgpt.errors import ConfigError

ENV: Final = "MEDICALGPT_SHARE"
_UMASKS: Final = {"private": 0o077, "group": 0o007}


@contextmanager
def private_files() -> Iterator[None]:
    """New files and folders are 0600 and 0700 inside (0660 and 0770 when shared), whatever the user's umask.

    A umask counts for the whole process and for libraries' files, too: checkpoints, charts and logs are written by those.
    Files and folders that exist keep their modes. On Windows the folder's own rights decide.

    Raises:
        ConfigError: MEDICALGPT_SHARE is neither of its values.
    """
    wanted = os.environ.get(ENV) or "private"
    if wanted not in _UMASKS:
        raise ConfigError(f"{ENV}={wanted!r} is unknown; allowed: {', '.join(_UMASKS)}")
    before = os.umask(_UMASKS[wanted])
    try:
        yield
    finally:
        os.umask(before)
