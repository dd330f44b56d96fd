"""Source kinds `xyz` and `wmts`: dated map tiles, mosaicked on the site's grid by GDAL's own tile driver."""

from __future__ import annotations

import hashlib
import math
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import numpy as np
import rasterio
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT

from pipeline.config.schema import SourceConfig
from pipeline.errors import ReadError, SourceError
from pipeline.imagery.chip_area import area_to_read, grid_over
from pipeline.imagery.remote import Meter
from pipeline.imagery.tiles_web import fetch_tiles
from pipeline.imagery.tiles_wmts import Layer, read_layer
from pipeline.imagery.whole import TAIL, is_whole
from pipeline.model import Asset, Chip, Grid, Item, Scene, Site

COLLECTION = "tiles"
BANDS = ("red", "green", "blue")
EQUATOR_M = 2 * np.pi * 6378137.0  # of Web Mercator's sphere
TILE = 256  # pixels
MAX_ZOOM = 22
_PLACES = re.compile(r"\{([^{}]*)\}")
# GDAL's WMS driver reads tiles from its cache and nowhere else: the address below is only the key of a tile there.
KEY = "http://tiles.invalid/{zoom}/{x}/{y}"
_DRIVER = """<GDAL_WMS><Service name="TMS"><ServerUrl>http://tiles.invalid/${{z}}/${{x}}/${{y}}</ServerUrl></Service>
<DataWindow><UpperLeftX>-20037508.342789244</UpperLeftX><UpperLeftY>20037508.342789244</UpperLeftY>
<LowerRightX>20037508.342789244</LowerRightX><LowerRightY>-20037508.342789244</LowerRightY>
<TileLevel>{zoom}</TileLevel><TileCountX>1</TileCountX><TileCountY>1</TileCountY><YOrigin>top</YOrigin>
</DataWindow><Projection>EPSG:3857</Projection><BlockSizeX>256</BlockSizeX><BlockSizeY>256</BlockSizeY>
<BandsCount>4</BandsCount><OfflineMode>true</OfflineMode>
<Cache><Type>file</Type><Path>/vsimem/{folder}</Path><Depth>0</Depth><Unique>false</Unique>
<Expires>1000000000</Expires></Cache></GDAL_WMS>"""
TILE_DRIVERS = ((b"\x89PNG", "PNG"), (b"\xff\xd8", "JPEG"), (b"RIFF", "WEBP"))
REACH = 4  # pixels of a tile around the site that cubic convolution may ask for


@dataclass(frozen=True)
class TileSource:
    """Dated map tiles of one service."""

    config: SourceConfig
    meter: Meter = field(default_factory=Meter, compare=False)

    def search(self, site: Site, since: datetime, until: datetime) -> tuple[Item, ...]:
        """List the service's dates in a window of time: one item a date or release.

        The date of a release is not the date of acquisition; such items are marked `date_uncertain`. A WMTS that
        offers every day (period P1D) shows the day itself.

        Parameters
        ----------
        site : Site
        since, until : datetime
            UTC, both inclusive.

        Raises
        ------
        SourceError
            When the service's capabilities cannot be read or its configuration is wrong.
        """
        gsd = self.sampling(site)
        return tuple(
            self._item(site, day, text, gsd, uncertain=uncertain)
            for day, text, uncertain in self._dates(since, until)
            if since <= local_noon(site, day) <= until
        )

    def read(self, site: Site, scene: Scene) -> Chip:
        """Mosaic the tiles over the site on its grid.

        Returns
        -------
        Chip
            Red, green and blue as the tiles show them, 8 bits; `valid` is False where the service has no tile or
            the tile is transparent. Resampled by cubic convolution from the next finer zoom.

        Raises
        ------
        ReadError
            When tiles cannot be had (`transient` when the network or server was at fault).
        HostileInputError
            When the service sends the reader to another host.
        """
        item = scene.items[0]
        gsd = item.assets[0].gsd_m or self.sampling(site)
        grid = grid_over(site.crs, area_to_read(site, gsd, len(BANDS)), gsd)
        with (
            _reading(item),
            self._mosaic(site, item, gsd, grid) as source,
            WarpedVRT(
                source,
                crs=grid.crs,
                transform=Affine(*grid.transform),
                width=grid.width,
                height=grid.height,
                resampling=Resampling.cubic,
            ) as warped,
        ):
            values = warped.read([1, 2, 3])
            valid = warped.read(4) > 0
        if not valid.any():
            raise ReadError(f"{item.item_id}: the service has no tile over {site.name} at this zoom; lower `zoom`.")
        return Chip(site.name, scene, grid, BANDS, values, valid, None, (1.0,) * 3, (0.0,) * 3)

    def sampling(self, site: Site) -> float:
        """Return the ground sampling of the chips, metres: the configured one, else that of the configured zoom."""
        if self.config.gsd_m is not None:
            return float(self.config.gsd_m)
        if self.config.zoom is None:
            raise SourceError(f"source {self.config.name}: give key 'gsd_m' (metres) or 'zoom'.")
        return float(round(zoom_sampling(self.config.zoom, _latitude(site)), 3))

    def zoom(self, site: Site) -> int:
        """Return the zoom of web maps at which tiles are read: the configured one, else that of the sampling."""
        zoom = self.config.zoom
        return choose_zoom(self.sampling(site), _latitude(site)) if zoom is None else zoom

    @contextmanager
    def _mosaic(self, site: Site, item: Item, gsd: float, grid: Grid) -> Iterator[rasterio.io.DatasetReader]:
        """Fetch the tiles over a grid at the right zoom and open them as one georeferenced RGBA image."""
        zoom, address = self._addresses(site, item, gsd)
        columns, rows = _tile_range(grid, zoom)
        wanted = {(x, y): address(x, y) for y in rows for x in columns}
        tiles = fetch_tiles(self.config, wanted, item.item_id, self.meter)
        folder = f"tiles-{uuid4().hex}"
        with ExitStack() as stack:
            for (x, y), body in tiles.items():
                _check_tile(body, f"{item.item_id}: tile {zoom}/{x}/{y}")
                key = hashlib.md5(KEY.format(zoom=zoom, x=x, y=y).encode(), usedforsecurity=False).hexdigest()
                stack.enter_context(MemoryFile(body, dirname=folder, filename=key))
            described = MemoryFile(_DRIVER.format(zoom=zoom, folder=folder).encode(), ext=".xml")
            yield stack.enter_context(stack.enter_context(described).open(driver="WMS"))

    def _addresses(self, site: Site, item: Item, gsd: float) -> tuple[int, Callable[[int, int], str]]:
        """Return the zoom and a function that gives the address of the tile at (column, row) from the north-west."""
        config, lat = self.config, _latitude(site)
        if config.kind != "wmts":
            zoom = self.zoom(site)
            template = item.assets[0].href

            def address(x: int, y: int) -> str:
                places = {"{z}": zoom, "{x}": x, "{y}": y, "{-y}": 2**zoom - 1 - y}
                return re.sub("|".join(map(re.escape, places)), lambda m: str(places[m[0]]), template)

            return zoom, address
        layer = read_layer(config)
        level = layer.zoom_for(gsd, lat) if config.zoom is None else min(config.zoom, len(layer.matrices) - 1)
        time = item.processing.partition(" ")[2]
        return layer.web_zoom(level), lambda x, y: layer.tile_address(level, x, y, time)

    def _dates(self, since: datetime, until: datetime) -> list[tuple[date, str, bool]]:
        """Return (day, time value, uncertain) of what the service offers, in order."""
        config = self.config
        if config.dates:
            return [(day, day.strftime(config.time_format), True) for day in sorted(set(config.dates))]
        if config.kind == "wmts":
            layer: Layer = read_layer(config)
            return layer.times(since.date() - timedelta(days=1), until.date() + timedelta(days=1), config.max_items)
        raise SourceError(f"source {config.name}: key 'dates' is empty; list the dates or releases of the tiles.")

    def _item(self, site: Site, day: date, text: str, gsd: float, *, uncertain: bool) -> Item:
        config = self.config
        href = config.url.replace("{time}", text)
        return Item(
            item_id=f"{config.name}_{day:%Y%m%d}",
            collection=COLLECTION,
            source=config.name,
            processing=f"{'release' if uncertain else 'daily'} {text}",
            observed_at=local_noon(site, day),
            assets=tuple(Asset(band, href, gsd_m=gsd, index=i + 1) for i, band in enumerate(BANDS)),
            crs="EPSG:3857",
            self_href=href,
            sensor="tiles",
            platform=config.title,
            gsd_m=gsd,
            date_uncertain=uncertain,
        )


def open_tiles(config: SourceConfig, base: Path) -> TileSource:
    """Open a source of map tiles.

    Parameters
    ----------
    config : SourceConfig
        Of kind `xyz` (key `url` is a template with {z}, {x} and {y}, or {-y} for the southern origin of TMS, and
        perhaps {time}) or `wmts` (key `url` is the address of the capabilities).
    base : Path
        Not used: tiles come from a server.

    Raises
    ------
    SourceError
        When the template or the address cannot be used.
    """
    del base
    places = set(_PLACES.findall(config.url))
    if config.kind == "xyz":
        if not {"z", "x"} <= places or len(places & {"y", "-y"}) != 1 or places - {"z", "x", "y", "-y", "time"}:
            raise SourceError(
                f"source {config.name}: key 'url' must hold {{z}}, {{x}} and {{y}} (or {{-y}}) and may hold {{time}}."
            )
    elif not config.layer:
        raise SourceError(f"source {config.name}: key 'layer' is empty; name a layer of the WMTS.")
    if urlsplit(_PLACES.sub("0", config.url)).scheme not in ("http", "https"):
        raise SourceError(f"source {config.name}: key 'url' must be an http or https address.")
    return TileSource(config)


def zoom_sampling(zoom: int, latitude_deg: float) -> float:
    """Return the ground sampling of Web Mercator tiles of 256 pixels, metres."""
    return float(EQUATOR_M * np.cos(np.deg2rad(latitude_deg)) / (TILE * 2**zoom))


def choose_zoom(gsd_m: float, latitude_deg: float) -> int:
    """Return the lowest zoom whose pixels are no larger than `gsd_m` on the ground (2 % of slack)."""
    for zoom in range(MAX_ZOOM + 1):
        if zoom_sampling(zoom, latitude_deg) <= gsd_m * 1.02:
            return zoom
    return MAX_ZOOM


@contextmanager
def _reading(item: Item) -> Iterator[None]:
    try:
        with rasterio.Env(GDAL_CACHEMAX=64 * 2**20):
            yield
    except (RasterioError, OSError) as error:
        reason = re.sub(r"\s+", " ", str(error.__cause__ or error)).strip().rstrip(".")
        raise ReadError(f"{item.item_id}: tiles cannot be read ({reason[:200]}).", transient=True) from error


def _latitude(site: Site) -> float:
    return _lonlat(site)[1]


def _lonlat(site: Site) -> tuple[float, float]:
    middle = site.area.centroid
    lon, lat = Transformer.from_crs(site.crs, "EPSG:4326", always_xy=True).transform(middle.x, middle.y)
    return float(lon), float(lat)


def local_noon(site: Site, day: date) -> datetime:
    """Return local solar noon of a day at the site, UTC: a day without a time stays the same day there."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return midnight + timedelta(hours=12) - timedelta(minutes=round(_lonlat(site)[0] * 4))


def _check_tile(body: bytes, where: str) -> None:
    """Unpack a tile before GDAL's tile driver does, which takes a broken one in its cache for an absent one.

    Raises
    ------
    ReadError
        When it is cut off, damaged or of another size.
    """
    driver = next(name for magic, name in TILE_DRIVERS if body.startswith(magic))
    try:
        with warnings.catch_warnings(), MemoryFile(body) as file:
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with file.open(driver=driver) as tile:
                shape = tile.shape
                if shape == (TILE, TILE):
                    tile.read()
    except RasterioError as error:
        raise ReadError(f"{where} is cut off or damaged.", transient=True) from error
    if shape != (TILE, TILE):
        raise ReadError(f"{where} has {shape[1]} x {shape[0]} pixels, not {TILE} x {TILE}.")
    if not is_whole(driver, body[:16], body[-TAIL:], len(body)):
        raise ReadError(f"{where} is cut off or damaged.", transient=True)


def _tile_range(grid: Grid, zoom: int) -> tuple[range, range]:
    """Return the columns and rows of the tiles that a grid and what is around it touch."""
    to_mercator = Transformer.from_crs(grid.crs, "EPSG:3857", always_xy=True)
    west, south, east, north = to_mercator.transform_bounds(*grid.bounds, densify_pts=21)
    span, half = EQUATOR_M / 2**zoom, EQUATOR_M / 2
    reach = REACH / TILE
    first_x, last_x = (west + half) / span - reach, (east + half) / span + reach
    first_y, last_y = (half - north) / span - reach, (half - south) / span + reach
    end = 2**zoom - 1
    return (
        range(max(math.floor(first_x), 0), min(math.floor(last_x), end) + 1),
        range(max(math.floor(first_y), 0), min(math.floor(last_y), end) + 1),
    )
