"""The desk's outer wall: refuses what no page of the desk would send, before anything is read or routed.

Against DNS rebinding the ``Host`` must name the loopback address and port that the desk listens on; against
requests from other sites every ``Origin`` must be that same address, and each POST must carry one. Bodies above
the limit are answered with 413 from their declared length, and cut off when they are longer than declared.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import unquote

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_MAX = 1 << 20  # bytes: a note of 20,000 characters, percent-encoded, is a quarter of it
TOO_LARGE = "The request is larger than any form of this desk."
FORM_TYPE = "application/x-www-form-urlencoded"

SECURITY_HEADERS: tuple[tuple[str, str], ...] = (
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    # not `no-referrer`: browsers then send `Origin: null` with forms, which the wall refuses
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
)


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine's loopback."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def own_hosts(host: str, port: int) -> frozenset[str]:
    """Return the values of ``Host`` under which the desk answers."""
    names = {"127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host}
    return frozenset({f"{name}:{port}" for name in names} | (names if port == 80 else set()))


class Guard:
    """ASGI middleware that refuses foreign hosts and origins, strange paths and large bodies.

    Parameters
    ----------
    app
        What stands behind the wall.
    hosts
        Accepted values of the ``Host`` header.
    body_max
        Largest request body, bytes.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str], body_max: int = BODY_MAX) -> None:
        self.app, self.hosts, self.body_max = app, hosts, body_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no web sockets here: the server closes the connection
        refusal = self._refusal(scope)
        if refusal is not None:
            await _say(send, *refusal)
            return
        meter = _Meter(receive, send, self.body_max)
        await self.app(scope, meter.receive, meter.send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and sentence when the request must not go on, else None."""
        headers: dict[str, list[str]] = {}
        for key, value in scope["headers"]:
            headers.setdefault(key.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        hosts = headers.get("host", [])
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            return 421, "This desk answers only under its own loopback address; open the link that railwatch printed."
        if _foreign(headers, f"http://{hosts[0].lower()}", scope["method"]):
            return 403, "The request comes from another site."
        raw = scope.get("raw_path") or scope["path"].encode()
        if _strange(raw.decode("latin-1")):
            return 400, "The address is not one of this desk."
        if scope["method"] == "POST":
            return self._refuse_post(headers)
        return None if scope["method"] in ("GET", "HEAD") else (405, "The desk knows GET and POST only.")

    def _refuse_post(self, headers: dict[str, list[str]]) -> tuple[int, str] | None:
        if "origin" not in headers:
            return 403, "A form must say which page it comes from."
        lengths = headers.get("content-length", [])
        if any(not length.isdigit() or int(length) > self.body_max for length in lengths):
            return 413, TOO_LARGE
        kind = headers.get("content-type", [""])[0].split(";")[0].strip().lower()
        if kind != FORM_TYPE:
            return 415, "The desk reads forms only."
        return None


def _foreign(headers: dict[str, list[str]], own: str, method: str) -> bool:
    """Tell whether a page of another site sent this; following a link to the desk is no offence."""
    if any(origin.lower() != own for origin in headers.get("origin", [])):
        return True
    if not {"cross-site", "same-site"}.intersection(headers.get("sec-fetch-site", [])):
        return False
    return method not in ("GET", "HEAD") or headers.get("sec-fetch-mode", [""])[0] != "navigate"


def _strange(path: str) -> bool:
    """Tell whether a raw path climbs, hides a separator, or holds control characters."""
    lowered = path.split("?", maxsplit=1)[0].lower()
    decoded = unquote(unquote(lowered))  # twice: %252e%252e is nothing that a page of ours links to
    if "%2f" in lowered or "%5c" in lowered or "\\" in decoded or any(ord(c) < 32 for c in decoded):
        return True
    return any(part in ("..", ".") for part in decoded.split("/"))


class _Meter:
    """Counts the bytes that come in, and adds the security headers to the answer."""

    def __init__(self, receive: Receive, send: Send, limit: int) -> None:
        self._receive, self._send, self._left = receive, send, limit

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise HTTPException(413, TOO_LARGE)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_encoded()]}
        await self._send(message)


def _encoded() -> list[tuple[bytes, bytes]]:
    return [(key.encode(), value.encode()) for key, value in SECURITY_HEADERS]


async def _say(send: Send, status: int, sentence: str) -> None:
    """Answer in plain text and ask for the connection to be closed, so that no unread body is waited for."""
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"connection", b"close"),
        (b"cache-control", b"no-store"),
        *_encoded(),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": sentence.encode()})
