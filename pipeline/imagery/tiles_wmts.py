"""What a WMTS says of itself: the layer's dates, zooms and addresses; read with care, then handed to GDAL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from xml.etree import ElementTree

import numpy as np
from pyproj import Transformer

from pipeline.config.schema import SourceConfig
from pipeline.errors import ReadError, SourceError
from pipeline.imagery.hosts import gate_for
from pipeline.imagery.tiles_web import fetch_document
from pipeline.model import Site

PIXEL_M = 0.00028  # the standard's pixel, metres: sampling = scale denominator times this (OGC 07-057r7, 6.1)
NS = {"w": "http://www.opengis.net/wmts/1.0", "o": "http://www.opengis.net/ows/1.1"}
XLINK = "{http://www.w3.org/1999/xlink}href"
HALF_EQUATOR_M = 20037508.342789244


@dataclass(frozen=True)
class Layer:
    """One layer of a service."""

    source: str
    name: str
    matrix_set: str
    mercator: bool
    samplings: tuple[float, ...]  # of each zoom level, metres at the equator
    time_values: tuple[str, ...]  # as listed: single times, or start/end/period
    template: str  # of a RESTful tile, "" when the service is KVP only
    matrices: tuple[str, ...]  # identifiers of the zoom levels
    document: bytes

    def zoom_for(self, gsd_m: float, latitude_deg: float) -> int:
        """Return the coarsest level whose pixels are no larger than `gsd_m` (2 % of slack), else the finest."""
        factor = np.cos(np.deg2rad(latitude_deg)) if self.mercator else 1.0
        for level, sampling in enumerate(self.samplings):
            if sampling * factor <= gsd_m * 1.02:
                return level
        return len(self.samplings) - 1

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

    def probe_address(self, site: Site, zoom: int, time: str) -> str:
        """Return the address of the tile over the site's middle, "" where the standard's formula does not apply."""
        if not (self.template and self.mercator) or zoom >= len(self.matrices):
            return ""
        middle = site.area.centroid
        x, y = Transformer.from_crs(site.crs, "EPSG:3857", always_xy=True).transform(middle.x, middle.y)
        span = self.samplings[zoom] * 256
        places = {
            "tilematrixset": self.matrix_set,
            "tilematrix": self.matrices[zoom],
            "tilerow": str(int((HALF_EQUATOR_M - y) / span)),
            "tilecol": str(int((x + HALF_EQUATOR_M) / span)),
            "time": time,
            "style": "default",
        }
        return re.sub(r"\{([^{}]*)\}", lambda m: places.get(m[1].lower(), m[0]), self.template)


def read_layer(config: SourceConfig) -> Layer:
    """Fetch and read the capabilities of a WMTS for the configured layer.

    Raises
    ------
    SourceError
        When they cannot be had, are not well-formed, carry a document type, lack the layer, or send tiles to
        hosts that are not the source's.
    """
    body = fetch_document(config, config.url)
    where = f"source {config.name}: the capabilities"
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise SourceError(f"{where} carry a document type, which a WMTS has no use for; they are not read.")
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - entities are refused above
    except ElementTree.ParseError as error:
        raise SourceError(f"{where} are not well-formed XML ({error}).") from error
    addresses = [node.get(XLINK, "") for node in root.iter() if node.get(XLINK)]
    addresses += [node.get("template", "") for node in root.iter(f"{{{NS['w']}}}ResourceURL")]
    layers = {_text(node, "o:Identifier"): node for node in root.findall("w:Contents/w:Layer", NS)}
    node = layers.get(config.layer)
    if node is None:
        names = ", ".join(sorted(layers)[:8])
        raise SourceError(f"{where} have no layer '{config.layer}'; there are {len(layers)}: {names}.")
    tiles = [url.get("template", "") for url in node.findall("w:ResourceURL[@resourceType='tile']", NS)]
    for address in tiles or [a for a in addresses if a]:
        try:
            gate_for(config).check_url(re.sub(r"\{[^{}]*\}", "0", address))
        except ReadError as error:
            raise SourceError(str(error)) from error
    return _layer(config, root, node, tiles[0] if tiles else "", body)


def with_time(layer: Layer, time: str) -> bytes:
    """Return the capabilities with `time` as the default of the layer's time dimension, which GDAL then asks for."""
    ElementTree.register_namespace("", NS["w"])
    ElementTree.register_namespace("ows", NS["o"])
    root = ElementTree.fromstring(layer.document)  # noqa: S314 - checked by `read_layer`
    contents = root.find("w:Contents", NS)
    for node in [] if contents is None else contents.findall("w:Layer", NS):
        if _text(node, "o:Identifier") != layer.name:
            contents.remove(node)  # type: ignore[union-attr] # GDAL reads the one layer faster
            continue
        for dimension in node.findall("w:Dimension", NS):
            default = dimension.find("w:Default", NS)
            if _text(dimension, "o:Identifier").lower() == "time" and default is not None and time:
                default.text = time
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _layer(
    config: SourceConfig, root: ElementTree.Element, node: ElementTree.Element, template: str, body: bytes
) -> Layer:
    sets = {_text(s, "o:Identifier"): s for s in root.findall("w:Contents/w:TileMatrixSet", NS)}
    offered = [_text(link, "w:TileMatrixSet") for link in node.findall("w:TileMatrixSetLink", NS)]
    offered = [name for name in offered if name in sets]
    if not offered:
        raise SourceError(f"source {config.name}: layer {config.layer} names no tile matrix set.")
    crs = {name: _text(sets[name], "o:SupportedCRS") for name in offered}
    mercator = [name for name in offered if re.search(r"(3857|900913)$", crs[name])]
    chosen = (mercator or offered)[0]
    matrices = sorted(
        (-float(_text(m, "w:ScaleDenominator") or "0"), _text(m, "o:Identifier"))
        for m in sets[chosen].findall("w:TileMatrix", NS)
    )
    times: list[str] = []
    for dimension in node.findall("w:Dimension", NS):
        if _text(dimension, "o:Identifier").lower() == "time":
            for value in dimension.findall("w:Value", NS):
                times += [part.strip() for part in (value.text or "").split(",") if part.strip()]
    return Layer(
        config.name, config.layer, chosen, bool(mercator), tuple(-scale * PIXEL_M for scale, _ in matrices),
        tuple(times), template, tuple(name for _, name in matrices), body,
    )  # fmt: skip


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
