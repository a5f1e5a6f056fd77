"""Where this package keeps what it can make or fetch again."""

import os
import sys
from pathlib import Path

from medicalgpt.disk.private import private_files
from medicalgpt.errors import ModelError


def cache_root() -> Path:
    """MEDICALGPT_CACHE, else the platform's cache folder for the user; made with mode 0700. Raises ModelError."""
    if os.environ.get("MEDICALGPT_CACHE"):
        root = Path(os.environ["MEDICALGPT_CACHE"]).expanduser()
    elif sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "medicalgpt"
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches" / "medicalgpt"
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "medicalgpt"
    try:
        with private_files():
            root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(f"cannot make the cache folder {root}: {error.strerror}; set MEDICALGPT_CACHE") from error
    return root
