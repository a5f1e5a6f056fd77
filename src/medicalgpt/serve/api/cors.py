"""Web pages of other origins that may ask this server from a browser: those that were named, and no others.

Keys come in a header that a page's own script sets; cookies play no part, so answers never allow credentials.
"""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from medicalgpt.errors import ServeError

_MOST: Final = 64
_ALLOWED: Final = "allowed: https://name or http://name:port, as the browser writes it, without a path"


def origins(given: Iterable[str]) -> tuple[str, ...]:
    """Origins as browsers write them: small letters, no default port, no slash at the end.

    Raises:
        ServeError: one is none, or stands for all of them.
    """
    found = tuple(dict.fromkeys(_origin(text) for text in given))
    if len(found) > _MOST:
        raise ServeError(f"--allow-origin: {len(found)} origins; allowed: at most {_MOST}")
    return found


def install(app: FastAPI, allowed: tuple[str, ...]) -> None:
    """Answer browsers' questions whether they may ask, before anything else looks at a request."""
    app.add_middleware(
        CORSMiddleware,
        allow_origins=allowed,
        allow_methods=("GET", "POST"),
        allow_headers=("*",),
        allow_credentials=False,
        expose_headers=("X-Request-Id", "X-Dropped-Turns", "Retry-After"),
        max_age=600,
    )


def _origin(text: str) -> str:
    if "*" in text:
        raise ServeError("--allow-origin: * would let every web page ask this server; name the origins")
    try:
        parts = urlsplit(text.lower())
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or len(text) > 255:
        raise ServeError(f"--allow-origin: {text[:100]!r} is no origin; {_ALLOWED}")
    shown = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}[parts.scheme]
    found = f"{parts.scheme}://{shown}" + (f":{port}" if port not in (None, usual) else "")
    if text.lower().rstrip("/") not in (found, f"{parts.scheme}://{shown}:{usual}"):
        raise ServeError(f"--allow-origin: {text[:100]!r} is more than an origin; {_ALLOWED}")
    return found
