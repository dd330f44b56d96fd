"""Catalogue documents as bytes, from disk or from the web, bounded and behind the source's gate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import HostileInputError, ReadError
from pipeline.imagery.hosts import Gate, absolute, is_remote, shorten
from pipeline.imagery.remote import Web

MAX_DOCUMENT = 64 * 2**20  # bytes; a page of 1,000 Sentinel-2 items has about 30 MB


@dataclass(frozen=True)
class LocalDocuments:
    """Documents of a catalogue on disk; an address is a resolved path."""

    gate: Gate

    def resolve(self, href: str, document: str) -> str:
        """Return the path of what `document` calls `href`; errors as in `Gate.local_path`."""
        if is_remote(href):
            raise HostileInputError(
                f"source {self.gate.source}: {shorten(href)} leads out of a catalogue on disk; nothing was read."
            )
        return str(self.gate.local_path(href, Path(document).parent))

    def read(self, address: str) -> bytes:
        """Return a document.

        Raises
        ------
        ReadError
            When it cannot be read or is too large.
        """
        path = Path(address)
        try:
            if path.stat().st_size > MAX_DOCUMENT:
                raise ReadError(f"{path}: larger than {MAX_DOCUMENT // 2**20} MB, which no STAC document is.")
            return path.read_bytes()
        except OSError as error:
            raise ReadError(f"{path}: cannot be read ({error.strerror}).") from error


@dataclass(frozen=True)
class RemoteDocuments:
    """Documents behind http; an address is a URL."""

    web: Web

    def resolve(self, href: str, document: str) -> str:
        """Return the address of what `document` calls `href`, checked."""
        return self.web.gate.check_url(absolute(href, document))

    def read(self, address: str) -> bytes:
        """Return a document.

        Raises
        ------
        ReadError
            When it cannot be fetched or is too large.
        """
        with self.web.client() as client:
            data, total = self.web.fetch(address, client, 0, MAX_DOCUMENT)
        if len(data) > MAX_DOCUMENT or total > MAX_DOCUMENT:
            raise ReadError(f"{shorten(address)}: larger than {MAX_DOCUMENT // 2**20} MB, which no STAC document is.")
        return data
