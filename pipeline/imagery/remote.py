"""Files behind http read by byte ranges, every hop of every request checked first.

GDAL's own /vsicurl/ follows redirects wherever they lead and cannot be told not to (GDAL 3.10 has no option for
it), so that one hostile link would make it read an address of this machine. Here each hop passes the source's
gate, sizes are bounded, nothing is decompressed on the way, and GDAL sees a file object that has no name: no
sidecar files are probed for.
"""

from __future__ import annotations

import io
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urljoin

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

from pipeline.errors import HostileInputError, ReadError
from pipeline.imagery.hosts import Gate, shorten
from pipeline.imagery.signing import NoSigner, Signer

MAX_HOPS = 3
MAX_WHOLE = 256 * 2**20  # bytes taken from a server that ignores ranges
MAX_TAKEN = 512 * 2**20  # bytes of one file in all; a site's window takes a few
MAX_SECONDS = 300.0  # for one answer: a server that drips never ends by itself
HEAD = 64 * 2**10  # first read: header and tile index of a cloud-optimised GeoTIFF of a whole Sentinel-2 tile
GAP = 32 * 2**10  # least bytes a request asks for; a round trip costs more than these
RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
EXPIRED_STATUS = frozenset({401, 403, 404, 410})  # what servers say of a signature that has run out


class _AgainError(ReadError):
    """A failure that may pass."""


@lru_cache(maxsize=1)
def tls() -> ssl.SSLContext:
    """Return the certificates to trust; loading them takes longer than reading a window."""
    return httpx.create_ssl_context()


def _passing(error: BaseException) -> bool:
    return isinstance(error, _AgainError)


class Meter:
    """Counts what a source was asked and what it sent; several threads may add to it."""

    def __init__(self) -> None:
        self.requests = 0
        self.bytes = 0
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        """Count one answer of `size` bytes."""
        with self._lock:
            self.requests += 1
            self.bytes += size


@dataclass(frozen=True)
class Web:
    """How one source's files are fetched: its gate, its signer, its token."""

    gate: Gate
    signer: Signer = field(default_factory=NoSigner)
    token: Callable[[str], Mapping[str, str]] = lambda _: {}  # headers for an address
    attempts: int = 4
    wait_s: float = 0.5  # first pause between attempts, doubled each time, with jitter
    timeout_s: float = 30.0
    meter: Meter = field(default_factory=Meter, compare=False)

    def client(self) -> httpx.Client:
        """Return a client that follows no redirect and accepts no compression."""
        return httpx.Client(
            verify=tls(),
            follow_redirects=False,
            timeout=self.timeout_s,
            headers={"Accept-Encoding": "identity", "User-Agent": "railwatch"},
            limits=httpx.Limits(max_connections=16, max_keepalive_connections=16),
        )

    def open(self, href: str, client: httpx.Client) -> RangeFile:
        """Open a remote file; the first bytes are read at once, so that what is no file is said here."""
        return RangeFile(self, href, client)

    def fetch(self, href: str, client: httpx.Client, first: int, last: int) -> tuple[bytes, int]:
        """Read bytes `first` to `last` (inclusive) of a file.

        Returns
        -------
        tuple of bytes and int
            What was asked for, shorter at the file's end, and the file's whole length; a server without ranges
            gives the whole file.

        Raises
        ------
        HostileInputError
            When an address is not allowed.
        ReadError
            When the server fails or sends something else than the file.
        """
        retrying = Retrying(
            stop=stop_after_attempt(self.attempts),
            wait=wait_exponential(multiplier=self.wait_s, max=20.0) + wait_random(0, self.wait_s),
            retry=retry_if_exception(_passing),
            reraise=True,
        )
        try:
            return retrying(self._fetch_signed, href, client, first, last)
        except _AgainError as error:
            raise ReadError(str(error), transient=True) from error

    def _fetch_signed(self, href: str, client: httpx.Client, first: int, last: int) -> tuple[bytes, int]:
        try:
            return self._follow(self.signer.sign(href), href, client, first, last)
        except _ExpiredError:
            fresh = self.signer.sign(href, fresh=True)
        try:
            return self._follow(fresh, href, client, first, last)
        except _ExpiredError as error:
            raise ReadError(f"{shorten(href)} answers {error.status}; {self.signer.refused}.") from error

    def _follow(self, url: str, href: str, client: httpx.Client, first: int, last: int) -> tuple[bytes, int]:
        for _ in range(MAX_HOPS + 1):
            self.gate.check_url(url)
            headers = {"Range": f"bytes={first}-{last}", **self.token(url)}
            try:
                with client.stream("GET", url, headers=headers) as answer:
                    if answer.is_redirect:
                        url = urljoin(url, answer.headers.get("location", ""))
                        continue
                    taken = _take(answer, href, first, last)
                    self.meter.add(len(taken[0]))
                    return taken
            except httpx.TransportError as error:
                raise _AgainError(
                    f"{shorten(href)} cannot be read ({type(error).__name__}).", transient=True
                ) from error
            except (httpx.InvalidURL, httpx.HTTPError) as error:
                raise ReadError(f"{shorten(href)} cannot be read ({type(error).__name__}).") from error
        raise HostileInputError(f"{shorten(href)} redirects more than {MAX_HOPS} times; nothing was read.")


class _ExpiredError(Exception):
    """The server refuses the link as it is signed."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


def _take(answer: httpx.Response, href: str, first: int, last: int) -> tuple[bytes, int]:
    """Check an answer's head and take its body within bounds."""
    status = answer.status_code
    if status in EXPIRED_STATUS:
        raise _ExpiredError(status)
    if status in RETRY_STATUS:
        raise _AgainError(f"{shorten(href)} answers {status}.", transient=True)
    if status == 416:
        return b"", _total(answer.headers.get("content-range", ""))
    if status not in (200, 206):
        raise ReadError(f"{shorten(href)} answers {status}.")
    kind = answer.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml"):
        raise ReadError(f"{shorten(href)} is a web page, not an image; the server may want a login.")
    encoding = answer.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", ""):
        raise ReadError(f"{shorten(href)} is sent compressed ({encoding[:20]}) although that was declined.")
    bound = last - first + 1 if status == 206 else MAX_WHOLE
    body = bytearray()
    deadline = time.monotonic() + MAX_SECONDS
    for chunk in answer.iter_raw():
        body += chunk
        if time.monotonic() > deadline:
            raise _AgainError(f"{shorten(href)} is sent too slowly; the reading was broken off.", transient=True)
        if len(body) > bound:
            raise ReadError(
                f"{shorten(href)} sends more than the {bound} bytes asked for; the reading was broken off."
            )
    if status == 200:
        return bytes(body), len(body)
    total = _total(answer.headers.get("content-range", ""))
    expected = min(last, total - 1) - first + 1 if total else len(body)
    if len(body) < expected:
        raise _AgainError(f"{shorten(href)} breaks off after {len(body)} of {expected} bytes.", transient=True)
    return bytes(body), total


def _total(content_range: str) -> int:
    """Return the whole length from a Content-Range header (RFC 9110, 14.4), 0 when it is not told."""
    text = content_range.rpartition("/")[2].strip()
    return int(text) if text.isdecimal() and len(text) < 16 else 0


class RangeFile(io.RawIOBase):
    """A remote file as a seekable file object; bytes once read are kept until it is closed."""

    def __init__(self, web: Web, href: str, client: httpx.Client) -> None:
        super().__init__()
        self._web, self._href, self._client = web, href, client
        self._parts: list[tuple[int, bytes]] = []
        self._at = 0
        self.requests = 0
        self.error: ReadError | None = None  # GDAL swallows what a file object raises; the reader looks here
        self._length = 0
        self._load(0, HEAD)
        head = self._parts[0][1][:64].lstrip().lower() if self._parts else b""
        if head.startswith((b"<!doctype", b"<html", b"<?xml")):
            raise ReadError(f"{shorten(href)} is a web page, not an image; the server may want a login.")
        if head.startswith(b"\x1f\x8b"):
            raise ReadError(f"{shorten(href)} is a gzip file, not an image.")
        if not head:
            raise ReadError(f"{shorten(href)} is empty.")

    @property
    def head(self) -> bytes:
        """The file's first bytes."""
        return self._parts[0][1][:64]

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be sought."""
        return True

    def tell(self) -> int:
        """Return the position, bytes."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position and return it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        self._at = max(start + offset, 0)
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes from the position; b"" where reading failed, with the reason in `error`."""
        end = self._length if size < 0 else min(self._at + size, self._length)
        if end <= self._at:
            return b""
        try:
            data = self._bytes(self._at, end)
        except ReadError as error:
            self.error = error
            return b""
        self._at += len(data)
        return data

    def _bytes(self, start: int, end: int) -> bytes:
        for first, part in self._parts:
            if first <= start and end <= first + len(part):
                return part[start - first : end - first]
        self._load(start, max(end - start, GAP))
        first, part = self._parts[-1]
        return part[start - first : end - first]

    def _load(self, start: int, size: int) -> None:
        if size > MAX_WHOLE or size + sum(len(part) for _, part in self._parts) > MAX_TAKEN:
            raise ReadError(f"{shorten(self._href)} asks for {size} bytes at once, which no window needs.")
        data, total = self._web.fetch(self._href, self._client, start, start + size - 1)
        self.requests += 1
        if not start and not data:
            raise ReadError(f"{shorten(self._href)} is empty.")
        if not total:
            raise ReadError(f"{shorten(self._href)}: the server does not tell the file's length.")
        if len(data) == total:
            self._parts.append((0, data))  # a server without ranges, or a small file: all of it
        else:
            self._parts.append((start, data))
        if self._length and total != self._length:
            raise ReadError(f"{shorten(self._href)} changed its length while it was read; try again.", transient=True)
        self._length = self._length or total
