"""Source kind `wayback`: releases of a map of the world, with a service that tells when each place was photographed.

Esri World Imagery Wayback keeps every release of its world map since 2014. A release's date is not the date of
capture: a place may show a picture that is years old, and most releases show the picture of the one before. So the
metadata service of each release is asked when the picture of the tracks was taken, and one picture is one look
however many releases show it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
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
PLACE = r"\{[^{}]*\}"
PLACES = {"{level}": "{z}", "{row}": "{y}", "{col}": "{x}"}


@dataclass(frozen=True)
class Release:
    """One release of the map."""

    number: str
    day: date | None  # of its publication, None when the list does not say
    tiles: str = ""  # address of a tile with {z}, {y} and {x}
    metadata: str = ""  # address of its metadata service
    problem: str = ""  # why it cannot be used, one sentence


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
        """List the pictures of the site that were taken, or first published, in a window of time.

        Pictures are published months to years after they were taken: a round that looks back over some weeks would
        never see one by its own date. A picture is listed at the first release that shows it. Its time is noon of
        the day that the metadata state; where they state several days the last one, and where they state none the
        release's own, both marked `date_uncertain`. Releases older than `since` are not asked: what they show was
        taken and published before.

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
            found = list(self._pictures(site, self._releases(), since, until))
        except ReadError as error:
            raise SourceError(str(error)) from error
        return tuple(sorted(found, key=lambda item: (item.observed_at, item.item_id)))

    def read(self, site: Site, scene: Scene) -> Chip:
        """Mosaic a release's tiles over the site; see `pipeline.imagery.tiles.TileSource.read`."""
        return self.tiles.read(site, scene)

    def _pictures(self, site: Site, releases: list[Release], since: datetime, until: datetime) -> Iterator[Item]:
        """Yield each picture of the window once, and what cannot be used with its reason."""
        yield from (self._unusable(release, since) for release in releases if release.day is None)
        dated = sorted((r.day, r.number, r) for r in releases if r.day is not None)
        old = [release for day, _, release in dated if local_noon(site, day) < since]
        # The last one before the window tells whether the first one's picture is new.
        asked = [*(release for release in old[-1:] if not release.problem), *(r for *_, r in dated[len(old) :])]
        seen: set[tuple[date, ...]] = set()
        last: Capture | None = None
        zoom = self.tiles.zoom(site)
        for release in asked:
            day = release.day or since.date()
            published = local_noon(site, day)
            try:
                if release.problem:
                    raise ReadError(release.problem)
                capture = capture_at(self.config, release.metadata, site, zoom, day, self.meter)
            except ReadError as error:
                if error.transient:
                    raise
                yield self._unusable(replace(release, problem=str(error)), published)
                continue
            fresh = capture.days not in seen if capture.stated else capture != last
            seen |= {capture.days} if capture.stated else set()
            last = capture
            item = self._item(site, release, day, capture)
            if fresh and (since <= item.observed_at <= until or since <= published <= until):
                yield item

    def _item(self, site: Site, release: Release, released: date, capture: Capture) -> Item:
        config = self.config
        gsd = max(self.tiles.sampling(site), capture.resolution_m or 0.0)
        days = [f"{day:%Y%m%d}" for day in capture.days] if capture.stated else [f"{released:%Y%m%d}", "undated"]
        return Item(
            item_id="_".join((config.name, *dict.fromkeys((days[0], days[-1])))),
            collection=COLLECTION,
            source=config.name,
            processing=f"{capture.words}, release {released}",
            observed_at=local_noon(site, capture.days[-1] if capture.stated else released),
            assets=tuple(Asset(band, release.tiles, gsd_m=gsd, index=i + 1) for i, band in enumerate(BANDS)),
            crs="EPSG:3857",
            self_href=release.metadata,
            sensor="tiles",
            platform=capture.publisher or config.title,
            gsd_m=gsd,
            date_uncertain=not (capture.stated and len(capture.days) == 1),
        )

    def _releases(self) -> list[Release]:
        """Return the listed releases, those that cannot be used with the reason."""
        listed = fetch_json(self.config, self.config.url, self.meter)
        shown = f"source {self.config.name}: {shorten(self.config.url)}"
        if len(listed) > MAX_RELEASES:
            raise SourceError(f"{shown} has {len(listed)} releases, which no map has.")
        found = [self._release(number, entry) for number, entry in listed.items()]
        if all(release.problem for release in found):
            raise SourceError(f"{shown} lists no release that can be used.")
        return found

    def _release(self, number: str, entry: Any) -> Release:
        day: date | None = None
        try:
            if not isinstance(entry, Mapping) or not re.fullmatch(r"\d{1,9}", number):
                raise ReadError("is not described as a release.")
            title, tiles, metadata = (entry.get(key) for key in ("itemTitle", "itemURL", "metadataLayerUrl"))
            if not (isinstance(title, str) and isinstance(tiles, str) and isinstance(metadata, str)):
                raise ReadError("lacks its title or an address.")
            day = _day(title)
            if day is None:
                raise ReadError("its title holds no date.")
            if sorted(re.findall(PLACE, tiles)) != sorted(PLACES) or "?" in metadata or "#" in metadata:
                raise ReadError("an address is not of the form that such services have.")
            gate = gate_for(self.config)
            gate.check_url(re.sub(PLACE, "0", tiles))
            gate.check_url(metadata)
        except ReadError as error:
            if error.transient:
                raise
            return Release(number, day, problem=f"source {self.config.name}, release {safe_text(number)}: {error}")
        return Release(number, day, re.sub(PLACE, lambda m: PLACES[m[0]], tiles), metadata.rstrip("/"))

    def _unusable(self, release: Release, when: datetime) -> Item:
        name = f"release {safe_text(release.number)}"
        return Item(name, COLLECTION, self.config.name, "", when, (), problem=release.problem)


def _day(title: str) -> date | None:
    found = re.search(r"\b(\d{4})-(\d{2})-(\d{2})\b", title)
    try:
        return date(*(int(part) for part in found.groups())) if found else None
    except ValueError:
        return None


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
