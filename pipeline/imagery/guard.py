"""Searches pass the source's gate too: each request, each redirect, each next page, with a bound on its size."""

from __future__ import annotations

import time
from typing import Any

from pystac import Link
from pystac_client.stac_api_io import StacApiIO
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import ReadTimeout

from pipeline.imagery.documents import MAX_DOCUMENT
from pipeline.imagery.remote import MAX_SECONDS, Web

CHUNK = 2**18


class PageTooLargeError(Exception):
    """A page of a search is larger than any list of items."""


class GuardedAdapter(HTTPAdapter):
    """The transport of `requests`, behind a gate."""

    def __init__(self, web: Web, max_bytes: int = MAX_DOCUMENT) -> None:
        super().__init__()
        self._web, self._max_bytes = web, max_bytes

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> Response:
        """Send one request: `requests` comes here again for each redirect.

        Raises
        ------
        HostileInputError
            When the address is not allowed.
        PageTooLargeError
            When the answer is larger than a page may be.
        ReadTimeout
            When the answer is sent so slowly that it does not end.
        """
        del stream
        self._web.gate.check_url(request.url or "")
        answer = super().send(
            request, stream=True, timeout=timeout or self._web.timeout_s, verify=verify, cert=cert, proxies=proxies
        )
        body = bytearray()
        deadline = time.monotonic() + MAX_SECONDS
        for chunk in answer.iter_content(CHUNK):
            body += chunk
            if len(body) > self._max_bytes:
                answer.close()
                raise PageTooLargeError(
                    f"a page of the search is larger than {self._max_bytes // 2**20} MB; lower 'page_limit'."
                )
            if time.monotonic() > deadline:
                answer.close()
                raise ReadTimeout(f"a page was not sent within {MAX_SECONDS:.0f} s", request=request)
        answer._content = bytes(body)
        self._web.meter.add(len(body))
        return answer


class GuardedIO(StacApiIO):
    """What pystac-client reads with: http through the gate, and never a file of this machine."""

    def __init__(self, web: Web) -> None:
        super().__init__(max_retries=None, timeout=web.timeout_s)
        for scheme in ("https://", "http://"):
            self.session.mount(scheme, GuardedAdapter(web))
        self.session.max_redirects = 3
        self._gate = web.gate

    def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:
        """Return a document; pystac-client would open a path that a catalogue names as its search link."""
        href = source.to_dict().get("href") if isinstance(source, Link) else source
        self._gate.check_url(str(href))
        return super().read_text(source, *args, **kwargs)
