"""What the page's server answers at all, to whom, and what a browser may load for the page.

A web page elsewhere may send requests to any address of this machine, and give that address a name of its own (DNS
rebinding), so a request must name a host that is this page's, and one that a script made must come from the page itself.
Gradio serves much that this page does not need: uploads, a proxy, files, a programming interface. Only what is listed
here passes. The policy keeps the browser from asking any other host for anything, even where an answer names a picture.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from medicalgpt.network.address import name_in, named_locally

if TYPE_CHECKING:  # the web framework is an extra
    from starlette.datastructures import Headers
    from starlette.middleware import Middleware
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALLOWED: Final = re.compile(
    r"/|/config/?|/theme\.css|/(assets|static|svelte)/.*|/favicon\.ico|/manifest\.json|/robots\.txt"
    r"|/gradio_api/(startup-events|theme\.css|app_id/?|queue/(join|data)|heartbeat/[^/]+|cancel|reset/?)"
)
_POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        # Gradio builds functions from text for the events that run in the browser.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "frame-src 'none'",
        "form-action 'self'",
        "base-uri 'self'",
    )
)
_LARGEST: Final = 4 * 2**20  # bytes of a body: a question, its settings
_HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)


@dataclass(frozen=True, slots=True)
class Doors:
    """Under which hosts the page may be asked for: names in small letters, those that end like one of `endings`, this
    machine's own; or any host, where other machines may ask and know it by names that nobody told.
    """

    names: tuple[str, ...] = ()
    endings: tuple[str, ...] = ()
    any_host: bool = False

    def admit(self, headers: "Headers") -> bool:
        """Whether a request names such a host, and comes from no other page."""
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        if not (self.any_host or named_locally(host) or self._named(host)):
            return False
        if origin is None:  # no script sent it, or only to look at what all may see
            return True
        # A proxy may give the host another name; no page elsewhere can make a browser send its header.
        found = urlsplit(origin).netloc.lower()
        return found in (host, headers.get("x-forwarded-host", host).lower()) or self._named(found)

    def _named(self, header: str) -> bool:
        name = name_in(header)
        return name in self.names or (bool(self.endings) and name.endswith(self.endings))


def middleware(doors: Doors) -> "list[Middleware]":
    """For the application's constructor."""
    from starlette.middleware import Middleware

    return [Middleware(Shield, doors)]


def allowed(path: str) -> bool:
    """Whether the page needs this path."""
    return _ALLOWED.fullmatch(path) is not None


class Shield:
    """ASGI middleware: 404 for what is not needed, 403 for other hosts and pages, and the policy on every answer."""

    def __init__(self, app: "ASGIApp", doors: Doors) -> None:
        self.app, self.doors = app, doors

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass a request on, or refuse it."""
        from starlette.datastructures import Headers

        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # the page has no use for a websocket
            await send({"type": "websocket.close", "code": 1008})
            return

        async def with_policy(message: "Message") -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in _HEADERS}
                kept = [pair for pair in message.get("headers", ()) if pair[0].lower() not in names]
                message = {**message, "headers": [*kept, *_headers(scope["path"])]}
            await send(message)

        headers = Headers(scope=scope)
        if not self.doors.admit(headers):
            said = b"this page answers only under its own address; see --allow-host in docs/demo.md"
            await _refuse(with_policy, 403, said)
        elif not allowed(scope["path"]):
            await _refuse(with_policy, 404, b"not found")
        elif scope["method"] == "POST" and not 0 <= _length(headers) <= _LARGEST:
            await _refuse(with_policy, 413, b"too large, or of unknown length")
        else:
            await self.app(scope, receive, with_policy)


def _length(headers: "Headers") -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isdigit() and len(length) < 19 else -1


async def _refuse(send: "Send", status: int, said: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": said})


def _headers(path: str) -> list[tuple[bytes, bytes]]:
    """Scripts and styles have hashes in their names, so browsers may keep them; nothing else is kept."""
    lasting = path.startswith(("/assets/", "/static/"))
    return [pair for pair in _HEADERS if not (lasting and pair[0] == b"cache-control")]
