"""Where a server listens, and which addresses one without keys may have. Nothing heavy is imported here."""

import socket

from medicalgpt.errors import ServeError
from medicalgpt.serve.address import is_local, take
from medicalgpt.serve.api.auth import VARIABLE, ApiKeys


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
