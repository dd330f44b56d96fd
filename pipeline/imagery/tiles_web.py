"""Fetching for tile services: only the configured hosts, every redirect checked, bounded sizes, images alone.

GDAL's tile drivers follow redirects wherever they lead and open whatever comes back with any of their formats, some
of which name further files. So tiles are fetched here, and GDAL's driver is given them to mosaic without a network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urljoin

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

from pipeline.config.schema import SourceConfig
from pipeline.errors import HostileInputError, ReadError, SourceError
from pipeline.imagery.hosts import Gate, gate_for, shorten
from pipeline.imagery.remote import Meter, tls

MAX_DOCUMENT_BYTES = 32 * 2**20  # GIBS's capabilities are about 8 MB
MAX_JSON_BYTES = 4 * 2**20  # Wayback's list of releases is about 0.1 MB
MAX_TILE_BYTES = 4 * 2**20
MAX_TILES = 5000  # of one look: 5 by 3 km at 0.3 m is about 3,000
MAX_HOPS = 3
TIMEOUT_S = 30.0
CONNECTIONS = 4  # tile services ask not to be pressed
ATTEMPTS, WAIT_S = 3, 1.0
ABSENT = (204, 404)  # how services say that there is no tile here
IMAGES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")  # PNG, JPEG, WebP
Place = tuple[int, int]  # column, row


def fetch_document(config: SourceConfig, address: str) -> bytes:
    """Fetch a document of a service.

    Raises
    ------
    SourceError
        When the server does not answer with it.
    """
    shown = shorten(address)
    try:
        with _client() as client:
            status, headers, body = _get(client, gate_for(config).check_url(address), MAX_DOCUMENT_BYTES)
    except ReadError as error:
        raise SourceError(str(error)) from error
    except httpx.HTTPError as error:
        raise SourceError(f"source {config.name}: {shown} does not answer ({type(error).__name__}).") from error
    if status != 200:
        raise SourceError(f"source {config.name}: {shown} answers {status}; correct key 'url'.")
    kind = headers.get("content-type", "").lower()
    if "xml" not in kind and body.lstrip()[:5] != b"<?xml":
        raise SourceError(f"source {config.name}: {shown} is not XML but {kind or 'of no stated type'}.")
    return body


def fetch_json(config: SourceConfig, address: str, meter: Meter) -> dict[str, Any]:
    """Fetch a JSON object of a service; tried again where the network or the server was at fault.

    Raises
    ------
    HostileInputError
        When the address is not of the source's hosts.
    ReadError
        When the server does not answer, or answers with something else.
    """
    gate, shown = gate_for(config), f"source {config.name}: {shorten(address)}"

    def once() -> bytes:
        gate.check_url(address)
        try:
            with _client() as client:
                status, _, body = _get(client, address, MAX_JSON_BYTES)
        except httpx.DecodingError as error:
            raise ReadError(f"{shown} cannot be unpacked or is larger than {MAX_JSON_BYTES // 2**20} MB.") from error
        except httpx.HTTPError as error:
            raise ReadError(f"{shown} does not answer ({type(error).__name__}).", transient=True) from error
        meter.add(len(body))
        if status != 200:
            raise ReadError(f"{shown} answers {status}.", transient=status in (408, 429) or status >= 500)
        return body

    try:
        # The type that the server states is not looked at: ArcGIS sends JSON as text/plain.
        found = json.loads(_retrying()(once))
    except (ValueError, RecursionError) as error:
        raise ReadError(f"{shown} does not answer with JSON.") from error
    if not isinstance(found, dict):
        raise ReadError(f"{shown} answers with JSON that is no object.")
    return found


def fetch_tiles(
    config: SourceConfig, addresses: Mapping[Place, str], item: str, meter: Meter | None = None
) -> dict[Place, bytes]:
    """Fetch tiles; those that the service does not have are left out.

    Parameters
    ----------
    config : SourceConfig
    addresses : mapping
        Address of each tile by its place.
    item : str
        Whose tiles they are, for errors.
    meter : Meter, optional
        Counts requests and bytes.

    Raises
    ------
    HostileInputError
        When a tile, or what it redirects to, is not of the source's hosts.
    ReadError
        When an answer is an error, or not an image.
    """
    if len(addresses) > MAX_TILES:
        raise ReadError(f"{item}: {len(addresses)} tiles cover the site, more than are fetched; lower the zoom.")
    gate = gate_for(config)
    retrying = _retrying()
    with _client() as client, ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="tiles") as pool:
        # The first alone: where the service is down or wants a login, one request is enough to know it.
        places = list(addresses)
        futures = {}
        try:
            found = {place: retrying(_tile, gate, client, addresses[place], item) for place in places[:1]}
            for place in places[1:]:
                futures[place] = pool.submit(retrying.copy(), _tile, gate, client, addresses[place], item)
            found |= {place: future.result() for place, future in futures.items()}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if meter is not None:
        for body in found.values():
            meter.add(len(body))
    return {place: body for place, body in found.items() if body}


def _tile(gate: Gate, client: httpx.Client, address: str, item: str) -> bytes:
    """Return one tile, b"" when the service has none there."""
    url = address
    for _ in range(MAX_HOPS + 1):
        gate.check_url(url)
        try:
            status, headers, body = _get(client, url, MAX_TILE_BYTES)
        except httpx.HTTPError as error:
            raise ReadError(
                f"{item}: the tile server does not answer ({type(error).__name__}).", transient=True
            ) from error
        if 300 <= status < 400:
            url = urljoin(url, headers.get("location", ""))
            continue
        return _checked(status, headers.get("content-type", "").lower(), body, item)
    raise HostileInputError(f"{item}: a tile redirects more than {MAX_HOPS} times; it was not read.")


def _checked(status: int, kind: str, body: bytes, item: str) -> bytes:
    if status in ABSENT:
        return b""
    if status != 200:
        raise ReadError(f"{item}: the tile server answers {status}.", transient=status in (408, 429) or status >= 500)
    if not body.startswith(IMAGES):
        raise ReadError(f"{item}: the tile server answers with {kind or 'no type'} instead of a PNG, JPEG or WebP.")
    return body


def _retrying() -> Retrying:
    return Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=WAIT_S, max=10.0) + wait_random(0, WAIT_S),
        retry=retry_if_exception(lambda error: isinstance(error, ReadError) and error.transient),
        reraise=True,
    )


def _client() -> httpx.Client:
    return httpx.Client(verify=tls(), follow_redirects=False, timeout=TIMEOUT_S, headers={"User-Agent": "railwatch"})


def _get(client: httpx.Client, address: str, limit: int) -> tuple[int, Mapping[str, str], bytes]:
    """Return status, headers and body; a body above `limit` is an error of the transport."""
    with client.stream("GET", address) as answer:
        parts: list[bytes] = []
        size = 0
        for part in answer.iter_bytes():
            size += len(part)
            if size > limit:
                raise httpx.DecodingError("the answer is larger than allowed")
            parts.append(part)
        return answer.status_code, answer.headers, b"".join(parts)
