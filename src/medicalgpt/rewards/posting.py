"""One JSON question to a service, bounded in time and size; nothing of what is sent stands in a message."""

import http.client
import ipaddress
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from medicalgpt.errors import ConfigError
from medicalgpt.language.one_line import one_line

_CHUNK: Final = 1 << 16
_REFUSAL: Final = 1 << 16
"""Most bytes of a refusal that are looked at."""


class PostError(Exception):
    """What went wrong, in words that follow the service's name; `status` of HTTP where there was one, and `late`.

    `said` is what a refusing service says of it, which may hold what it was sent: it is for callers who sent nothing private.
    """

    def __init__(self, words: str, status: int | None = None, late: bool = False, said: str = "") -> None:
        super().__init__(words)
        self.status, self.late, self.said = status, late, said


class _Stay(urllib.request.HTTPRedirectHandler):
    """A service that was allowed may not send us, and a key, to another one."""

    def redirect_request(self, *_: object) -> None:
        return None


def post_json(url: str, body: bytes, timeout: float, limit: int, headers: Mapping[str, str] | None = None) -> object:
    """The JSON value that a service answers.

    Args:
        timeout: seconds for all of it.
        limit: most bytes of the answer.

    Raises:
        PostError: it cannot be reached, refuses, is late, breaks off, says too much, or what it says is no JSON.
    """
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", **(headers or {})})
    # A proxy of the environment would see the texts; a service is asked directly.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay())
    end = time.monotonic() + timeout
    try:
        with opener.open(request, timeout=timeout) as answer:
            text = _read(answer, end, limit)
    except urllib.error.HTTPError as error:
        with error:
            said = _refusal(error, end)
        raise PostError(f"refuses ({error.reason})", error.code, said=said) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise PostError("is late", late=True) from None
        raise PostError(f"cannot be reached: {error.reason}") from None
    except TimeoutError:
        raise PostError("is late", late=True) from None
    except (OSError, http.client.HTTPException) as error:  # the service hung up in the middle
        raise PostError(f"broke off its answer ({type(error).__name__})") from None
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        raise PostError("did not answer with JSON") from None
    return found


def _read(answer: http.client.HTTPResponse, end: float, limit: int) -> bytes:
    """All of an answer. The socket's own limit is for each piece of it; one that trickles in is late all the same."""
    text = bytearray()
    while piece := answer.read1(_CHUNK):
        text += piece
        if len(text) > limit:
            raise PostError(f"answered with more than {limit} bytes")
        if time.monotonic() > end:
            raise TimeoutError
    if answer.length:  # reading piece by piece does not complain by itself
        raise http.client.IncompleteRead(bytes(text), answer.length)
    return bytes(text)


def _refusal(error: urllib.error.HTTPError, end: float) -> str:
    """The reason in the body of a refusal in OpenAI's form, on one line; empty where there is none."""
    if not isinstance(error.fp, http.client.HTTPResponse):
        return ""
    try:
        found: object = json.loads(_read(error.fp, end, _REFUSAL))
    except (PostError, OSError, http.client.HTTPException, ValueError, RecursionError):
        return ""
    inner = found.get("error") if isinstance(found, dict) else None
    words = inner.get("message") if isinstance(inner, dict) else None
    return one_line(words)[:300] if isinstance(words, str) else ""


def is_local(url: str, who: str) -> bool:
    """Whether an address is on this machine. Raises ConfigError: it is none, or holds a password."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise ConfigError(f"{who}: {url!r} is no address; write http://host:port/path") from None
    if parts.username is not None:
        raise ConfigError(f"{who}: the address holds a name or password, which would be shown and kept; leave them out")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def require_allowed(
    url: str, allow_remote: bool, who: str = "reward.functions", remedy: str = "reward.allow_remote=true"
) -> bool:
    """Whether a service is on this machine. Raises ConfigError: it is no address, or elsewhere and that is not allowed."""
    local = is_local(url, who)
    if not local and not allow_remote:
        raise ConfigError(
            f"{who}: {url} is on another machine, and prompts and answers would be sent there; set {remedy} if they may "
            "leave this one"
        )
    return local
