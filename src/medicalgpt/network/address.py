"""Addresses that the page and the API listen at. Nothing heavy is imported here."""

import ipaddress
import socket


def take(host: str, port: int) -> socket.socket:
    """A socket that holds an address of this machine, and does not listen yet.

    Raises:
        socket.gaierror, UnicodeError: there is no such host.
        OSError, OverflowError: the port is in use, needs rights or is none, or the host is not this machine.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except (OSError, OverflowError):
        sock.close()
        raise
    return sock


def is_local(host: str) -> bool:
    """Whether only this machine can reach a server at this address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def named_locally(header: str) -> bool:
    """Whether a Host header names this machine. Another name means a web page that had its own name lead here."""
    return is_local(name_in(header))


def name_in(header: str) -> str:
    """The host of a Host header, in small letters, without port and brackets."""
    host = header.rpartition(":")[0] if header.rpartition(":")[2].isdigit() else header
    return host.strip("[]").lower()
