"""Source kind `stac-static`: a STAC catalogue of plain files, on disk or behind http."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.config.schema import SourceConfig
from pipeline.errors import ReadError, SourceError
from pipeline.imagery.documents import LocalDocuments, RemoteDocuments
from pipeline.imagery.hosts import catalogue_path, gate_for, is_remote, shorten
from pipeline.imagery.items import EARLIEST, parse_item, safe_text
from pipeline.imagery.remote import Web
from pipeline.imagery.select import select_items
from pipeline.imagery.signing import Signer, open_signer
from pipeline.imagery.tokens import bearer
from pipeline.imagery.window import read_scene
from pipeline.model import Chip, Item, Scene, Site

MAX_DOCUMENTS = 200_000
MAX_DEPTH = 12  # catalogues within catalogues; real ones have three or four levels


@dataclass(frozen=True)
class StaticSource:
    """A static catalogue; every search walks it, for it may have grown."""

    config: SourceConfig
    web: Web
    documents: LocalDocuments | RemoteDocuments
    start: str  # address or path of the root document

    def search(self, site: Site, since: datetime, until: datetime) -> tuple[Item, ...]:
        """List the items of the configured collections over the site in a window of time.

        Parameters
        ----------
        site : Site
        since, until : datetime
            UTC, both inclusive.

        Returns
        -------
        tuple of Item
            In order of acquisition time, then of id.

        Raises
        ------
        SourceError
            When a document cannot be read, is no JSON, or the catalogue is larger than `max_items`.
        """
        by_id = {collection.id: collection for collection in self.config.collections}
        found: list[tuple[Item, Mapping[str, Any]]] = []
        for document, address in self._items():
            if isinstance(document, Item):
                found.append((document, {}))
                continue
            collection = by_id.get(str(document.get("collection")))
            if collection is None:
                continue
            found.append((parse_item(document, self.config, collection, address), document))
            if len(found) > self.config.max_items:
                raise SourceError(
                    f"source {self.config.name}: more than {self.config.max_items} items; raise 'max_items' if that "
                    "is meant."
                )
        return select_items(found, self.config, site, since, until)

    def read(self, site: Site, scene: Scene) -> Chip:
        """Read the site's window of a scene; see `pipeline.imagery.window.read_scene`."""
        return read_scene(self.config, self.web, site, scene)

    def _items(self) -> Iterator[tuple[Mapping[str, Any] | Item, str]]:
        """Yield every item document with its address; each document is read once, whatever links in circles.

        An item that cannot be read is yielded as an unusable Item, so that one bad file does not hide the rest;
        a catalogue that cannot be read is an error, for the list would not be whole.
        """
        waiting: list[tuple[str, int, bool]] = [(self.start, 0, False)]
        seen: set[str] = {self.start}
        while waiting:
            address, depth, leaf = waiting.pop()
            try:
                document = self._document(address)
            except SourceError as error:
                if not leaf:
                    raise
                yield self._unusable(address, str(error)), address
                continue
            kind = document.get("type")
            if kind == "Feature":
                yield document, address
            elif kind == "FeatureCollection":
                features = document.get("features")
                for feature in features if isinstance(features, list) else ():
                    if isinstance(feature, Mapping):
                        yield feature, address
            for href, leaf in _links(document) if kind != "Feature" else ():
                try:
                    target = self._follow(href, address)
                except SourceError as error:
                    if not leaf:
                        raise
                    yield self._unusable(str(href), str(error)), address
                    continue
                if target not in seen:
                    seen.add(target)
                    waiting.append((target, depth + 1, leaf))
            self._check_size(len(seen), depth)

    def _check_size(self, documents: int, depth: int) -> None:
        if documents > MAX_DOCUMENTS or depth >= MAX_DEPTH:
            raise SourceError(
                f"source {self.config.name}: the catalogue is larger than {MAX_DOCUMENTS} documents or deeper than "
                f"{MAX_DEPTH}; point 'url' to the part that is wanted."
            )

    def _unusable(self, address: str, why: str) -> Item:
        name = safe_text(address.rstrip("/").rsplit("/", 1)[-1])
        return Item(name, self.config.collections[0].id, self.config.name, "", EARLIEST, (), problem=why)

    def _follow(self, href: object, address: str) -> str:
        if not isinstance(href, str) or not href:
            raise SourceError(f"source {self.config.name}: {shorten(address)} has a link without an address.")
        try:
            return self.documents.resolve(href, address)
        except ReadError as error:
            raise SourceError(str(error)) from error

    def _document(self, address: str) -> Mapping[str, Any]:
        try:
            document = json.loads(self.documents.read(address))
        except ReadError as error:
            raise SourceError(str(error)) from error
        except (ValueError, RecursionError) as error:
            raise SourceError(f"source {self.config.name}: {shorten(address)} is not JSON.") from error
        if not isinstance(document, Mapping):
            raise SourceError(f"source {self.config.name}: {shorten(address)} is not a STAC document.")
        return document


def _links(document: Mapping[str, Any]) -> list[tuple[object, bool]]:
    """Return hrefs of what a document holds, last first, with whether each is an item."""
    links = document.get("links")
    entries = [link for link in reversed(links) if isinstance(link, Mapping)] if isinstance(links, list) else []
    return [(e.get("href"), e["rel"] == "item") for e in entries if e.get("rel") in ("child", "item", "items")]


def open_static(config: SourceConfig, *, base: Path, signer: Signer | None = None) -> StaticSource:
    """Open a static catalogue.

    Parameters
    ----------
    config : SourceConfig
        Key `url` is its root document or, on disk, the folder of catalog.json.
    base : Path
        Folder at which a relative `url` starts.
    signer : Signer, optional
        By default the one that the configuration names.

    Raises
    ------
    SourceError
        When the catalogue does not exist or no collection is configured.
    """
    if not config.collections:
        raise SourceError(f"source {config.name}: key 'collections' is empty; name at least one.")
    gate = gate_for(config, base)
    web = Web(gate, signer or open_signer(config), bearer(config))
    if is_remote(config.url):
        return StaticSource(config, web, RemoteDocuments(web), config.url)
    path = catalogue_path(config, base)
    if not path.is_file():
        raise SourceError(f"source {config.name}: there is no catalogue {path}; make it or correct key 'url'.")
    return StaticSource(config, web, LocalDocuments(gate), str(path.resolve()))
