"""What a WMTS says of itself: the layer's dates, zooms and the addresses of its tiles."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from xml.etree import ElementTree

import numpy as np

from pipeline.config.schema import SourceConfig
from pipeline.errors import ReadError, SourceError
from pipeline.imagery.hosts import gate_for
from pipeline.imagery.tiles_web import fetch_document
from pipeline.imagery.xml import xml_root

PIXEL_M = 0.00028  # the standard's pixel, metres: sampling = scale denominator times this (OGC 07-057r7, 6.1)
NS = {"w": "http://www.opengis.net/wmts/1.0", "o": "http://www.opengis.net/ows/1.1"}
XLINK = "{http://www.w3.org/1999/xlink}href"
HALF_M = 20037508.342789244  # half the equator of Web Mercator's sphere
TILE = 256  # pixels
SAMPLING_0_M = 2 * HALF_M / TILE  # of the world in one tile


@dataclass(frozen=True)
class Layer:
    """One layer of a service."""

    source: str
    name: str
    matrix_set: str
    samplings: tuple[float, ...]  # of each zoom level, metres at the equator
    time_values: tuple[str, ...]  # as listed: single times, or start/end/period
    template: str  # of a tile's address, with places in braces
    matrices: tuple[str, ...]  # identifiers of the zoom levels
    style: str

    def zoom_for(self, gsd_m: float, latitude_deg: float) -> int:
        """Return the coarsest level whose pixels are no larger than `gsd_m` (2 % of slack), else the finest."""
        factor = np.cos(np.deg2rad(latitude_deg))
        for level, sampling in enumerate(self.samplings):
            if sampling * factor <= gsd_m * 1.02:
                return level
        return len(self.samplings) - 1

    def web_zoom(self, level: int) -> int:
        """Return the zoom of web maps, where 0 is the world in one tile, that a level is."""
        return round(float(np.log2(SAMPLING_0_M / self.samplings[level])))

    def times(self, since: date, until: date, limit: int) -> list[tuple[date, str, bool]]:
        """Return (day, time value, uncertain) between two days, in order; daily periods are certain."""
        found: dict[date, tuple[str, bool]] = {}
        for value in self.time_values:
            start_text, _, rest = value.partition("/")
            start, whole_day = _day(start_text)
            if start is None:
                continue
            if not rest:
                if since <= start <= until:
                    found.setdefault(start, (value, True))
                continue
            end_text, _, period = rest.partition("/")
            end, _ = _day(end_text)
            daily = period in ("", "P1D")
            day = start
            while end is not None and day <= min(end, until):
                if len(found) >= limit:
                    raise SourceError(f"source {self.source}: layer {self.name} lists more than {limit} dates.")
                if day >= since:
                    text = day.isoformat() if whole_day else f"{day.isoformat()}{start_text[10:]}"
                    found[day] = (text, not daily)
                    day = _step(day, period)
                else:
                    day = max(_step(day, period), since) if daily else _step(day, period)
        return [(day, *found[day]) for day in sorted(found)]

    def tile_address(self, level: int, column: int, row: int, time: str) -> str:
        """Return the address of a tile.

        Raises
        ------
        ReadError
            When the service's template asks for something that is not known.
        """
        places = {
            "tilematrixset": self.matrix_set,
            "tilematrix": self.matrices[level],
            "tilerow": str(row),
            "tilecol": str(column),
            "time": time,
            "style": self.style,
            "layer": self.name,
        }
        address = re.sub(r"\{([^{}]*)\}", lambda m: places.get(m[1].lower(), m[0]), self.template)
        if "{" in address:
            raise ReadError(
                f"source {self.source}: layer {self.name} asks for {re.findall('{[^{}]*}', address)[0][:60]}."
            )
        return address


def read_layer(config: SourceConfig) -> Layer:
    """Fetch and read the capabilities of a WMTS for the configured layer.

    Raises
    ------
    SourceError
        When they cannot be had, are not well-formed, carry a document type, lack the layer, offer it in no grid of
        web maps, or send tiles to hosts that are not the source's.
    """
    body = fetch_document(config, config.url)
    where = f"source {config.name}: the capabilities"
    try:
        root = xml_root(body, f"source {config.name}: the capabilities document")
    except ReadError as error:
        raise SourceError(str(error)) from error
    layers = {_text(node, "o:Identifier"): node for node in root.findall("w:Contents/w:Layer", NS)}
    node = layers.get(config.layer)
    if node is None:
        names = ", ".join(sorted(layers)[:8])
        raise SourceError(f"{where} have no layer '{config.layer}'; there are {len(layers)}: {names}.")
    layer = _layer(config, root, node)
    try:
        gate_for(config).check_url(re.sub(r"\{[^{}]*\}", "0", layer.template))
    except ReadError as error:
        raise SourceError(str(error)) from error
    return layer


def _layer(config: SourceConfig, root: ElementTree.Element, node: ElementTree.Element) -> Layer:
    sets = {_text(s, "o:Identifier"): s for s in root.findall("w:Contents/w:TileMatrixSet", NS)}
    offered = [_text(link, "w:TileMatrixSet") for link in node.findall("w:TileMatrixSetLink", NS)]
    levels = {name: _levels(sets[name]) for name in offered if name in sets}
    chosen = next((name for name, found in levels.items() if found), "")
    if not chosen:
        raise SourceError(
            f"source {config.name}: layer {config.layer} is not offered in the grid of web maps (EPSG:3857, tiles of "
            f"256 pixels), only in {', '.join(offered)[:100] or 'none'}; look for another address of the service."
        )
    times: list[str] = []
    for dimension in node.findall("w:Dimension", NS):
        if _text(dimension, "o:Identifier").lower() == "time":
            for value in dimension.findall("w:Value", NS):
                times += [part.strip() for part in (value.text or "").split(",") if part.strip()]
    styles = node.findall("w:Style", NS)
    default = next((style for style in styles if style.get("isDefault") == "true"), styles[0] if styles else None)
    return Layer(
        source=config.name,
        name=config.layer,
        matrix_set=chosen,
        samplings=tuple(sampling for sampling, _ in levels[chosen]),
        time_values=tuple(times),
        template=_template(config, root, node, bool(times)),
        matrices=tuple(name for _, name in levels[chosen]),
        style=_text(default, "o:Identifier") if default is not None else "default",
    )


def _levels(matrix_set: ElementTree.Element) -> list[tuple[float, str]]:
    """Return (sampling, identifier) of each level, coarsest first; none when it is not the grid of web maps."""
    if not re.search(r"(3857|900913)$", _text(matrix_set, "o:SupportedCRS")):
        return []
    found = []
    for matrix in matrix_set.findall("w:TileMatrix", NS):
        try:
            sampling = float(_text(matrix, "w:ScaleDenominator")) * PIXEL_M
            corner = [float(part) for part in _text(matrix, "w:TopLeftCorner").split()]
            side = {int(_text(matrix, f"w:{name}") or TILE) for name in ("TileWidth", "TileHeight")}
        except ValueError:
            return []
        zoom = np.log2(SAMPLING_0_M / sampling) if sampling > 0 else np.nan
        standard = abs(zoom - round(float(zoom))) < 1e-3 if np.isfinite(zoom) else False
        if not standard or side != {TILE} or (corner and np.hypot(corner[0] + HALF_M, corner[1] - HALF_M) > 1.0):
            return []
        found.append((sampling, _text(matrix, "o:Identifier")))
    return sorted(found, reverse=True)


def _template(config: SourceConfig, root: ElementTree.Element, node: ElementTree.Element, timed: bool) -> str:
    """Return the address of a tile with places in braces: the RESTful one, else one with keys and values."""
    for resource in node.findall("w:ResourceURL[@resourceType='tile']", NS):
        if resource.get("template"):
            return str(resource.get("template"))
    for operation in root.findall("o:OperationsMetadata/o:Operation[@name='GetTile']", NS):
        for get in operation.findall("o:DCP/o:HTTP/o:Get", NS):
            base = get.get(XLINK, "")
            formats = [(part.text or "").strip() for part in node.findall("w:Format", NS)]
            image = next((part for part in ("image/png", "image/jpeg") if part in formats), "image/png")
            asked = {"SERVICE": "WMTS", "REQUEST": "GetTile", "VERSION": "1.0.0", "FORMAT": image}
            asked |= {"LAYER": "{Layer}", "STYLE": "{Style}", "TILEMATRIXSET": "{TileMatrixSet}"}
            asked |= {"TILEMATRIX": "{TileMatrix}", "TILEROW": "{TileRow}", "TILECOL": "{TileCol}"}
            asked |= {"TIME": "{Time}"} if timed else {}
            joint = "" if base.endswith(("?", "&")) else "&" if "?" in base else "?"
            return base + joint + "&".join(f"{key}={value}" for key, value in asked.items())
    raise SourceError(f"source {config.name}: the capabilities do not say where the tiles of {config.layer} are.")


def _text(node: ElementTree.Element, path: str) -> str:
    return (node.findtext(path, default="", namespaces=NS) or "").strip()


def _day(text: str) -> tuple[date | None, bool]:
    """Return the day of a time value and whether it is a plain day; a year or a month is its first day."""
    found = re.fullmatch(r"(\d{4})(?:-(\d{2})(?:-(\d{2})(T.*)?)?)?", text.strip())
    if found is None:
        return None, False
    try:
        return date(int(found[1]), int(found[2] or 1), int(found[3] or 1)), found[4] is None
    except ValueError:
        return None, False


def _step(day: date, period: str) -> date:
    """Return the next day of a period such as P1D, P8D, P1M or P1Y; anything else is a day."""
    found = re.fullmatch(r"P(\d+)([DMY])", period)
    number, unit = (max(int(found[1]), 1), found[2]) if found else (1, "D")
    if unit == "D":
        return day + timedelta(days=number)
    months = day.year * 12 + day.month - 1 + number * (12 if unit == "Y" else 1)
    return date(months // 12, months % 12 + 1, min(day.day, 28))
