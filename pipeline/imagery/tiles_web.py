"""Careful fetching for tile services: only the configured hosts, no redirects, bounded sizes."""

from __future__ import annotations

import httpx

from pipeline.config.schema import SourceConfig
from pipeline.errors import HostileInputError, ReadError, SourceError
from pipeline.imagery.hosts import gate_for, shorten

MAX_DOCUMENT_BYTES = 32 * 2**20  # GIBS's capabilities are about 8 MB
MAX_TILE_BYTES = 4 * 2**20
TIMEOUT_S = 30.0


def fetch_document(config: SourceConfig, address: str) -> bytes:
    """Fetch a document of a service.

    Raises
    ------
    SourceError
        When the server does not answer with it.
    """
    shown = shorten(address)
    try:
        status, kind, body = _get(gate_for(config).check_url(address), MAX_DOCUMENT_BYTES)
    except ReadError as error:
        raise SourceError(str(error)) from error
    except httpx.HTTPError as error:
        raise SourceError(f"source {config.name}: {shown} does not answer ({type(error).__name__}).") from error
    if status != 200:
        raise SourceError(f"source {config.name}: {shown} answers {status}; correct key 'url'.")
    if "xml" not in kind and body.lstrip()[:5] != b"<?xml":
        raise SourceError(f"source {config.name}: {shown} is not XML but {kind or 'of no stated type'}.")
    return body


def probe_tile(config: SourceConfig, address: str, item: str) -> int:
    """Fetch one tile and check that the service answers with an image itself; returns its size in bytes.

    GDAL's tile drivers follow redirects and read whatever comes; this probe finds a service that redirects, or
    answers with a page, before they start. A tile that does not exist (204, 404) is no error.

    Raises
    ------
    HostileInputError
        When the address is not of the source's hosts, or the answer is a redirect.
    ReadError
        When the answer is an error or not an image.
    """
    gate_for(config).check_url(address)
    try:
        status, kind, body = _get(address, MAX_TILE_BYTES)
    except httpx.HTTPError as error:
        raise ReadError(
            f"{item}: the tile server does not answer ({type(error).__name__}).", transient=True
        ) from error
    if status in (204, 404):
        return 0
    if 300 <= status < 400:
        raise HostileInputError(f"{item}: the tile server redirects to another address; this is not followed.")
    if status != 200:
        raise ReadError(f"{item}: the tile server answers {status}.", transient=status in (408, 429) or status >= 500)
    if not kind.startswith("image/") and not kind.startswith("application/octet-stream"):
        raise ReadError(f"{item}: the tile server answers with {kind or 'no type'} instead of an image.")
    return len(body)


def _get(address: str, limit: int) -> tuple[int, str, bytes]:
    """Return status, content type and body; a body above `limit` is an error of the transport."""
    with (
        httpx.Client(follow_redirects=False, timeout=TIMEOUT_S, headers={"User-Agent": "railwatch"}) as client,
        client.stream("GET", address) as answer,
    ):
        parts: list[bytes] = []
        size = 0
        for part in answer.iter_bytes():
            size += len(part)
            if size > limit:
                raise httpx.DecodingError("the answer is larger than allowed")
            parts.append(part)
        return answer.status_code, answer.headers.get("content-type", "").lower(), b"".join(parts)
