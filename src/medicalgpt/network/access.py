"""Who may ask, and where: API keys, and the addresses that a server without keys may have. Nothing heavy is imported."""

import hashlib
import hmac
import os
import socket
import stat
from collections.abc import Iterable
from pathlib import Path

from medicalgpt.errors import ServeError
from medicalgpt.network.address import is_local, take
from medicalgpt.network.log import LOG

VARIABLE = "MEDICALGPT_API_KEYS"
_SHORTEST = 8


class ApiKeys:
    """The keys that are accepted; false when there are none, and then everybody is.

    Keys of a file follow it: `renew` reads it again when it has changed.
    """

    def __init__(self, keys: Iterable[str] = (), file: Path | None = None) -> None:
        self.file, self._stamp = file, _stamp(file)
        self._digests = _digests(keys)

    def __len__(self) -> int:
        return len(self._digests)

    def accept(self, header: str) -> bytes | None:
        """The digest of the key that an Authorization header brings, if it is one of these. The time it takes tells nothing
        about them.
        """
        scheme, _, key = header.partition(" ")
        digest = hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).digest()
        found = [hmac.compare_digest(digest, known) for known in self._digests]  # all of them, whichever fits
        return digest if scheme.lower() == "bearer" and any(found) else None

    @classmethod
    def read(cls, file: Path | None = None) -> "ApiKeys":
        """Keys from a file (one a line; blank lines and those with # are left out) and MEDICALGPT_API_KEYS (with commas).

        Raises:
            ServeError: the file cannot be read or has no key, or a key is too short.
        """
        return cls(_all_keys(file), file)

    def renew(self) -> None:
        """Take the keys of the file as it is now, if it has changed. One that has no usable keys changes nothing: a server
        with keys never becomes one without. What happened is logged.
        """
        stamp = _stamp(self.file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._digests = _digests(_all_keys(self.file))
        except ServeError as error:
            LOG.error("%s; the keys from before stay valid", error)
            return
        LOG.warning("the API keys were read again: there are %d", len(self))
        if exposed := self.exposed:
            LOG.warning(exposed)

    @property
    def exposed(self) -> str | None:
        """What to say of a key file that every user of this machine can read."""
        try:
            mode = self.file.stat().st_mode if self.file is not None and os.name == "posix" else 0
        except OSError:
            return None
        if not mode & stat.S_IROTH:
            return None
        return f"--api-key-file {self.file}: every user of this machine can read it; chmod 600 {self.file}"


def _digests(keys: Iterable[str]) -> list[bytes]:
    return [hashlib.sha256(key.encode()).digest() for key in dict.fromkeys(keys)]


def _stamp(file: Path | None) -> tuple[int, int, int] | None:
    """Another one for a file that has changed, or another file in its place; None where there is none."""
    try:
        found = file.stat() if file is not None else None
    except OSError:
        return None
    return None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)


def _all_keys(file: Path | None) -> list[str]:
    keys = [key.strip() for key in os.environ.get(VARIABLE, "").split(",") if key.strip()]
    if file is not None:
        keys += _in_file(file)
    if any(len(key) < _SHORTEST or len(key.split()) > 1 for key in keys):
        raise ServeError(f"an API key has spaces or fewer than {_SHORTEST} characters; give long random ones")
    return keys


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
