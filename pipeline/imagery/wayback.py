"""Source kind `wayback`: releases of a map of the world, with a service that tells when each place was photographed.

Esri World Imagery Wayback keeps every release of its world map since 2014. A release's date is not the date of
capture: a place may show a picture that is years old, and most releases show the picture of the one before. So the
metadata service of each release is asked when the picture of the tracks was taken, and one picture is one look
however many releases show it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from pipeline.config.schema import SourceConfig
from pipeline.errors import ReadError, SourceError
from pipeline.imagery.hosts import gate_for, shorten
from pipeline.imagery.items import safe_text
from pipeline.imagery.remote import Meter
from pipeline.imagery.tiles import BANDS, COLLECTION, TileSource, local_noon
from pipeline.imagery.tiles_web import fetch_json
from pipeline.imagery.wayback_dates import Capture, capture_at
from pipeline.model import Asset, Chip, Item, Scene, Site

MAX_RELEASES = 5000  # there were 190 in ten years
PLACES = {"{level}": "{z}", "{row}": "{y}", "{col}": "{x}"}


@dataclass(frozen=True)
class Release:
    """One release of the map."""

    number: str
    day: date  # of its publication
    tiles: str  # address of a tile with {z}, {y} and {x}
    metadata: str  # address of its metadata service


@dataclass(frozen=True)
class WaybackSource:
    """The releases of one service."""

    config: SourceConfig
    tiles: TileSource

    @property
    def meter(self) -> Meter:
        """What was asked and sent."""
        return self.tiles.meter

    def search(self, site: Site, since: datetime, until: datetime) -> tuple[Item, ...]:
        """List the pictures of the site that were taken in a window of time.

        A picture is listed at the first release that shows it. Its time is noon of the day that the metadata
        state; where they state several days the last one, and where they state none the release's own, both
        marked `date_uncertain`. Releases older than `since` are not asked: what they show was taken before.

        Parameters
        ----------
        site : Site
        since, until : datetime
            UTC, both inclusive.

        Raises
        ------
        SourceError
            When the list of releases or the metadata service cannot be reached.
        """
        try:
            releases = list(self._releases())
            return tuple(
                sorted(
                    (item for item in self._pictures(site, releases, since) if since <= item.observed_at <= until),
                    key=lambda item: (item.observed_at, item.item_id),
                )
            )
        except ReadError as error:
            raise SourceError(str(error)) from error

    def read(self, site: Site, scene: Scene) -> Chip:
        """Mosaic a release's tiles over the site; see `pipeline.imagery.tiles.TileSource.read`."""
        return self.tiles.read(site, scene)

    def _pictures(self, site: Site, releases: list[Release | Item], since: datetime) -> Iterator[Item]:
        """Yield each picture once; entries of the list that cannot be used are yielded as they are."""
        yield from (entry for entry in releases if isinstance(entry, Item))
        usable = sorted((entry for entry in releases if isinstance(entry, Release)), key=lambda r: (r.day, r.number))
        asked = [release for release in usable if local_noon(site, release.day) >= since]
        # The release before the first one tells whether that one's undated picture is new.
        before = usable[: len(usable) - len(asked)][-1:]
        seen: set[tuple[date, ...]] = set()
        last: Capture | None = None
        zoom = self.tiles.zoom(site)
        for release in (*before, *asked):
            try:
                capture = capture_at(self.config, release.metadata, site, zoom, release.day, self.meter)
            except ReadError as error:
                if error.transient:
                    raise
                yield self._unusable(release.number, str(error), local_noon(site, release.day))
                continue
            if capture.stated:
                fresh = capture.days not in seen
                seen.add(capture.days)
            else:
                fresh = capture != last and release not in before
            last = capture
            if fresh:
                yield self._item(site, release, capture)

    def _item(self, site: Site, release: Release, capture: Capture) -> Item:
        config = self.config
        gsd = max(self.tiles.sampling(site), capture.resolution_m or 0.0)
        days = [f"{day:%Y%m%d}" for day in capture.days] if capture.stated else [f"{release.day:%Y%m%d}", "undated"]
        return Item(
            item_id="_".join((config.name, *dict.fromkeys((days[0], days[-1])))),
            collection=COLLECTION,
            source=config.name,
            processing=f"{capture.words}, release {release.day}",
            observed_at=local_noon(site, capture.days[-1] if capture.stated else release.day),
            assets=tuple(Asset(band, release.tiles, gsd_m=gsd, index=i + 1) for i, band in enumerate(BANDS)),
            crs="EPSG:3857",
            self_href=release.metadata,
            sensor="tiles",
            platform=capture.publisher or config.title,
            gsd_m=gsd,
            date_uncertain=not (capture.stated and len(capture.days) == 1),
        )

    def _releases(self) -> Iterator[Release | Item]:
        """Yield the listed releases; an entry that cannot be used becomes an Item that says why."""
        listed = fetch_json(self.config, self.config.url, self.meter)
        shown = f"source {self.config.name}: {shorten(self.config.url)}"
        if len(listed) > MAX_RELEASES:
            raise SourceError(f"{shown} has {len(listed)} releases, which no map has.")
        found = 0
        for number, entry in listed.items():
            try:
                release = self._release(number, entry)
            except ReadError as error:
                yield self._unusable(number, str(error), datetime(1972, 7, 23, tzinfo=UTC))
            else:
                found += 1
                yield release
        if not found:
            raise SourceError(f"{shown} lists no release that can be used.")

    def _release(self, number: str, entry: Any) -> Release:
        shown = f"source {self.config.name}, release {safe_text(number)}"
        if not isinstance(entry, Mapping) or not re.fullmatch(r"\d{1,9}", number):
            raise ReadError(f"{shown}: is not described as a release.")
        title, tiles, metadata = (entry.get(key) for key in ("itemTitle", "itemURL", "metadataLayerUrl"))
        if not (isinstance(title, str) and isinstance(tiles, str) and isinstance(metadata, str)):
            raise ReadError(f"{shown}: lacks its title or an address.")
        dated = re.search(r"\b(\d{4})-(\d{2})-(\d{2})\b", title)
        try:
            day = date(*(int(part) for part in dated.groups())) if dated else None
        except ValueError:
            day = None
        if day is None:
            raise ReadError(f"{shown}: its title holds no date.")
        places = re.findall(r"\{[^{}]*\}", tiles)
        if sorted(places) != sorted(PLACES) or "?" in metadata or "#" in metadata:
            raise ReadError(f"{shown}: an address is not of the form that such services have.")
        gate = gate_for(self.config)
        gate.check_url(re.sub(r"\{[^{}]*\}", "0", tiles))
        gate.check_url(metadata)
        return Release(number, day, re.sub(r"\{[^{}]*\}", lambda m: PLACES[m[0]], tiles), metadata.rstrip("/"))

    def _unusable(self, number: str, why: str, when: datetime) -> Item:
        return Item(f"release {safe_text(number)}", COLLECTION, self.config.name, "", when, (), problem=why)


def open_wayback(config: SourceConfig) -> WaybackSource:
    """Open a map's releases.

    Parameters
    ----------
    config : SourceConfig
        Key `url` is the address of the list of releases; `gsd_m` or `zoom` says how fine the tiles are to be.

    Raises
    ------
    SourceError
        When the address is not http or no sampling is given.
    """
    if not config.url.startswith(("http://", "https://")):
        raise SourceError(f"source {config.name}: key 'url' must be the http address of the list of releases.")
    if config.gsd_m is None and config.zoom is None:
        raise SourceError(f"source {config.name}: give key 'gsd_m' (metres) or 'zoom'.")
    return WaybackSource(config, TileSource(config))
