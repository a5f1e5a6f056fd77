"""What the page's server answers at all, and what a browser may load for the page.

Gradio serves much that this page does not need: uploads, a proxy, files, a programming interface. Only what is listed
here passes. The policy keeps the browser from asking any other host for anything, even where an answer names a picture.
"""

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # the web framework is an extra
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
_HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)


def middleware() -> "list[Middleware]":
    """For the application's constructor."""
    from starlette.middleware import Middleware

    return [Middleware(Shield)]


def allowed(path: str) -> bool:
    """Whether the page needs this path."""
    return _ALLOWED.fullmatch(path) is not None


class Shield:
    """ASGI middleware: 404 for what is not needed, and the policy on every answer."""

    def __init__(self, app: "ASGIApp") -> None:
        self.app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        async def with_policy(message: "Message") -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in _HEADERS}
                kept = [pair for pair in message.get("headers", ()) if pair[0].lower() not in names]
                message = {**message, "headers": [*kept, *_headers(scope["path"])]}
            await send(message)

        if allowed(scope["path"]):
            await self.app(scope, receive, with_policy)
            return
        await with_policy({"type": "http.response.start", "status": 404, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"not found"})


def _headers(path: str) -> list[tuple[bytes, bytes]]:
    """Scripts and styles have hashes in their names, so browsers may keep them; nothing else is kept."""
    lasting = path.startswith(("/assets/", "/static/"))
    return [pair for pair in _HEADERS if not (lasting and pair[0] == b"cache-control")]
