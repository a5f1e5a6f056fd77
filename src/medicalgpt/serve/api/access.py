"""Who may ask, and where: API keys, and the addresses that a server without keys may have. Nothing heavy is imported."""

import hashlib
import hmac
import os
import socket
from collections.abc import Iterable
from pathlib import Path

from medicalgpt.errors import ServeError
from medicalgpt.serve.address import is_local, take

VARIABLE = "MEDICALGPT_API_KEYS"
_SHORTEST = 8


class ApiKeys:
    """The keys that are accepted; false when there are none, and then everybody is."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def accept(self, header: str) -> bool:
        """Whether an Authorization header brings one of the keys. The time it takes tells nothing about them."""
        scheme, _, key = header.partition(" ")
        digest = hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).digest()
        found = [hmac.compare_digest(digest, known) for known in self._digests]  # all of them, whichever fits
        return scheme.lower() == "bearer" and any(found)

    @classmethod
    def read(cls, file: Path | None = None) -> "ApiKeys":
        """Keys from a file (one a line; blank lines and those with # are left out) and MEDICALGPT_API_KEYS (with commas).

        Raises:
            ServeError: the file cannot be read or has no key, or a key is too short.
        """
        keys = [key.strip() for key in os.environ.get(VARIABLE, "").split(",") if key.strip()]
        if file is not None:
            keys += _in_file(file)
        if any(len(key) < _SHORTEST or len(key.split()) > 1 for key in keys):
            raise ServeError(f"an API key has spaces or fewer than {_SHORTEST} characters; give long random ones")
        return cls(keys)


def _in_file(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ServeError(f"--api-key-file {file}: cannot be read as text ({type(error).__name__})") from None
    keys = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not keys:
        raise ServeError(f"--api-key-file {file} has no key; write one a line")
    return keys


def bind(host: str, port: int) -> socket.socket:
    """An address for the server, taken before the model is loaded, so that nobody waits for an error.

    Raises:
        ServeError: it is in use, needs rights, or is not this machine's.
    """
    try:
        return take(host, port)
    except (socket.gaierror, UnicodeError):
        raise ServeError(f"--host {host}: there is no such address") from None
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ServeError(f"port {port} on {host} cannot be had ({reason}); choose another with --port") from None


def check_host(host: str, keys: ApiKeys, no_auth: bool) -> None:
    """Refuse to open a server without keys to other machines.

    Raises:
        ServeError: saying what to do.
    """
    if not keys and not no_auth and not is_local(host):
        raise ServeError(
            f"--host {host} lets other machines ask, and there are no API keys; give --api-key-file or {VARIABLE}, "
            "or --no-auth if something in front of this server checks who asks"
        )


def named_locally(header: str) -> bool:
    """Whether a Host header names this machine. Another name means a web page that had its own name lead here."""
    host = header.rpartition(":")[0] if header.rpartition(":")[2].isdigit() else header
    return is_local(host.strip("[]").lower())
