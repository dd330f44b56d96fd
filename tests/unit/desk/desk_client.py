"""A client that talks to the desk in process: httpx over ASGI, with cookies and default headers."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx


class DeskClient:
    """Synchronous; one conversation with one cookie jar, usable from several threads."""

    def __init__(self, app: Any, origin: str) -> None:
        self.app, self.origin = app, origin
        self.cookies = httpx.Cookies()
        self.headers: dict[str, str] = {"origin": origin}

    def request(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """Send one request; redirects are not followed."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=True)
            async with httpx.AsyncClient(
                transport=transport, base_url=self.origin, cookies=self.cookies, trust_env=False
            ) as client:
                return await client.request(method, path, headers={**self.headers, **(headers or {})}, **more)

        response = asyncio.run(send())
        self.cookies.extract_cookies(response)
        return response

    def get(self, path: str, **more: Any) -> httpx.Response:
        """GET."""
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        """POST a form."""
        return self.request("POST", path, **more)
