"""Where a server listens, and which addresses one without keys may have. Nothing heavy is imported here."""

import ipaddress
import socket

from medicalgpt.errors import ServeError
from medicalgpt.serve.api.auth import VARIABLE, ApiKeys


def bind(host: str, port: int) -> socket.socket:
    """An address for the server, taken before the model is loaded, so that nobody waits for an error.

    Raises:
        ServeError: it is in use, needs rights, or is not this machine's.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise ServeError(f"--host {host}: there is no such address") from None
    family, kind, protocol, _, address = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except (OSError, OverflowError) as error:
        sock.close()
        reason = error.strerror if isinstance(error, OSError) else error
        raise ServeError(f"port {port} on {host} cannot be had ({reason}); choose another with --port") from None
    return sock


def is_local(host: str) -> bool:
    """Whether only this machine can reach a server at this address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
