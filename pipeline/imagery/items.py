"""A STAC item document becomes a model.Item; what is wrong with it is said at this door and nowhere later."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pyproj import CRS
from pyproj.exceptions import CRSError

from pipeline.config.schema import BandConfig, CollectionConfig, SourceConfig
from pipeline.imagery.footprints import FootprintError, footprint_of
from pipeline.imagery.hosts import MAX_URL, absolute, shorten
from pipeline.model import Asset, Item

MAX_ID = 200  # characters; the longest real product names have about 80
EARLIEST = datetime(1972, 7, 23, tzinfo=UTC)  # launch of the first Landsat
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
BASELINE_0400 = (4, 0)  # from this processing baseline Sentinel-2 numbers carry +1000 (ESA, S2 PDGS PB 04.00, 2022)
ESA_OFFSET = -0.1
PROCESSING = ("s2:processing_baseline", "processing:version", "landsat:collection_number", "s1:processing_level")
PLATFORMS = {"sentinel-2": "S2", "landsat": "L", "sentinel-1": "S1"}
# Relative orbit from the absolute one in a datatake's name; constants of ESA's S2 orbit definition, and the
# recorded items of the tests agree with them.
S2_ORBITS, S2_FIRST = 143, {"S2A": 141, "S2B": 27}


class _BadItemError(Exception):
    """The document cannot be used; the text says why."""


def parse_item(
    document: Mapping[str, Any], config: SourceConfig, collection: CollectionConfig, address: str = ""
) -> Item:
    """Read one item.

    Parameters
    ----------
    document : mapping
        The item as decoded from JSON.
    config : SourceConfig
    collection : CollectionConfig
        How the item's collection is to be read.
    address : str
        Of the document itself, at which its relative hrefs start; "" when its own `self` link is to be taken.

    Returns
    -------
    Item
        With `problem` set, and nothing else to rely on, when the document cannot be used.
    """
    try:
        return _parse(document, config, collection, address)
    except _BadItemError as error:
        when = _time(_mapping(document.get("properties")).get("datetime"))
        item_id = safe_text(document.get("id"))
        return Item(
            item_id=item_id,
            collection=collection.id,
            source=config.name,
            processing="",
            observed_at=when or EARLIEST,
            assets=(),
            problem=f"source {config.name}, item {item_id}: {error}",
        )


def _parse(document: Mapping[str, Any], config: SourceConfig, collection: CollectionConfig, address: str) -> Item:
    properties = _mapping(document.get("properties"))
    item_id = document.get("id")
    if not isinstance(item_id, str) or not item_id:
        raise _BadItemError("it has no id.")
    if len(item_id) > MAX_ID or not re.fullmatch(r"[\w.:@+=,~() -]+", item_id, re.ASCII) or ".." in item_id:
        raise _BadItemError("its id is too long or holds characters that no product name has.")
    observed_at, uncertain = _observed(properties)
    try:
        footprint = footprint_of(document.get("geometry"), document.get("bbox"))
    except FootprintError as error:
        raise _BadItemError(str(error)) from error
    assets_found = _mapping(document.get("assets"))
    if len(assets_found) > 1000:
        raise _BadItemError(f"it lists {len(assets_found)} assets, which no product has.")
    base = address or _self_href(document)
    processing = _processing(properties, collection.processing or PROCESSING)
    assets = tuple(
        _asset(band, how, assets_found, config, collection, processing, base)
        for band, how in collection.bands.items()
        if how.asset in assets_found
    )
    platform = _platform(properties, item_id, collection.sensor)
    return Item(
        item_id=item_id,
        collection=collection.id,
        source=config.name,
        processing=processing,
        observed_at=observed_at,
        assets=assets,
        crs=_crs(properties, assets_found),
        footprint=footprint,
        updated=safe_text(properties.get("s2:generation_time") or properties.get("updated") or "", empty=""),
        offset_applied=_flag(properties.get("earthsearch:boa_offset_applied")),
        self_href=base,
        sensor=collection.sensor,
        platform=platform,
        orbit=_orbit(properties, item_id, platform, collection.sensor),
        tile=_tile(properties, item_id, collection.sensor),
        gsd_m=collection.gsd_m,
        sun_elevation_deg=_sun_elevation(properties),
        sun_azimuth_deg=_number(properties.get("view:sun_azimuth", properties.get("s2:mean_solar_azimuth"))),
        view_azimuth_deg=_number(properties.get("view:azimuth")),
        cloud_cover=_share(properties.get("eo:cloud_cover")),
        date_uncertain=uncertain,
    )


def _asset(
    band: str,
    how: BandConfig,
    assets: Mapping[str, Any],
    config: SourceConfig,
    collection: CollectionConfig,
    processing: str,
    base: str,
) -> Asset:
    asset = _mapping(assets[how.asset])
    href = _href(asset, how.asset, config, base)
    calibration = how.calibration
    if calibration:
        found = calibration in assets
        calibration = _href(_mapping(assets[calibration]), calibration, config, base) if found else ""
    declared = _raster(asset, how.index)
    scale, offset = declared.get("scale", how.scale), declared.get("offset", how.offset)
    mask = collection.mask is not None and collection.mask.band == band
    if mask:
        scale, offset = 1.0, 0.0
    elif collection.offset_rule == "esa-baseline-0400":
        offset = ESA_OFFSET if baseline_of(processing) >= BASELINE_0400 else 0.0
    elif collection.offset_rule == "none":
        offset = how.offset
    return Asset(
        band=band,
        href=href,
        scale=_finite(scale, how, "scale", 1.0 if mask or collection.sensor != "sentinel-2" else 1e-4),
        offset=_finite(offset, how, "offset", 0.0),
        nodata=_nodata(declared.get("nodata", how.nodata)),
        gsd_m=_number(declared.get("spatial_resolution", asset.get("gsd"))),
        index=how.index,
        calibration=calibration,
    )


def _href(asset: Mapping[str, Any], key: str, config: SourceConfig, base: str) -> str:
    href = asset.get("href")
    if config.alternate:
        href = _mapping(_mapping(asset.get("alternate")).get(config.alternate)).get("href", href)
    if not isinstance(href, str) or not href or len(href) > MAX_URL:
        raise _BadItemError(f"asset '{key}' has no usable href.")
    return absolute(href, base)


def _raster(asset: Mapping[str, Any], index: int) -> dict[str, Any]:
    """Return scale, offset, nodata and sampling as raster extension 1, STAC 1.1 or the asset itself declare them."""
    found: dict[str, Any] = {}
    layers = [asset]
    for key in ("bands", "raster:bands"):
        entries = asset.get(key)
        if isinstance(entries, list) and len(entries) >= index:
            layers.append(_mapping(entries[index - 1]))
    for layer in layers:
        for name in ("scale", "offset", "spatial_resolution", "nodata"):
            for key in (name, f"raster:{name}"):
                if layer.get(key) is not None and not (layer is asset and key == "offset"):
                    found[name] = layer[key]
    return found


def baseline_of(processing: str) -> tuple[int, int]:
    """Return a Sentinel-2 processing baseline such as 05.09 as numbers, (0, 0) when there is none."""
    found = re.fullmatch(r"N?(\d{2})\.?(\d{2})", processing)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def safe_text(value: Any, *, empty: str = "(without id)") -> str:
    """Return a stranger's text fit for a log and a table: printable, at most 120 characters."""
    text = "".join(c if c.isprintable() else "?" for c in value[:120]) if isinstance(value, str) else ""
    return text or empty


def _observed(properties: Mapping[str, Any]) -> tuple[datetime, bool]:
    when = _time(properties.get("datetime"))
    start, end = _time(properties.get("start_datetime")), _time(properties.get("end_datetime"))
    observed = when or start
    if observed is None:
        raise _BadItemError("it has no acquisition time that can be read.")
    if not EARLIEST <= observed <= LATEST:
        raise _BadItemError(f"its acquisition time {observed:%Y-%m-%d} lies outside 1972 to 2100.")
    wide = when is None and start is not None and end is not None and (end - start).total_seconds() > 86400
    return observed, wide


def _time(value: Any) -> datetime | None:
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        when = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _processing(properties: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    for key in keys:
        value = properties.get(key)
        if isinstance(value, (str, int)) and not isinstance(value, bool) and str(value):
            return safe_text(str(value))
    uri = properties.get("s2:product_uri")
    found = re.search(r"_N(\d{2})(\d{2})_", uri) if isinstance(uri, str) else None
    return f"{found[1]}.{found[2]}" if found else ""


def _platform(properties: Mapping[str, Any], item_id: str, sensor: str) -> str:
    named = str(properties.get("platform") or "").lower()
    found = re.search(r"(?:sentinel[-_ ]?|landsat[-_ ]?)(\d[a-d]?)$", named)
    if found is None:
        found = re.match(r"(?:s|lc0|lo0|l[ce])(\d[a-d]?)[_t]", item_id.lower())
    prefix = {"sentinel-2": "S", "sentinel-1": "S", "landsat": "L"}.get(sensor)
    if prefix is None:
        return safe_text(named, empty="") or "unknown"
    if found is None:
        raise _BadItemError("it does not say which satellite took it.")
    return prefix + found[1].upper()


def _orbit(properties: Mapping[str, Any], item_id: str, platform: str, sensor: str) -> str:
    if sensor == "landsat":
        path = str(properties.get("landsat:wrs_path") or "")
        found = re.search(r"_(\d{3})\d{3}_", item_id)
        path = path or (found[1] if found else "")
        return f"P{int(path):03d}" if path.isdecimal() and len(path) <= 3 else ""
    orbit = properties.get("sat:relative_orbit")
    if isinstance(orbit, (int, float)) and not isinstance(orbit, bool) and 0 < orbit < 1000:
        return f"R{int(orbit):03d}"
    for text in (properties.get("s2:product_uri"), item_id):
        found = re.search(r"_R(\d{3})_", text) if isinstance(text, str) else None
        if found:
            return f"R{found[1]}"
    take = properties.get("s2:datatake_id")
    found = re.search(r"_(\d{6})_", take) if isinstance(take, str) else None
    if found and platform in S2_FIRST:
        return f"R{(int(found[1]) - S2_FIRST[platform]) % S2_ORBITS + 1:03d}"
    return ""


def _tile(properties: Mapping[str, Any], item_id: str, sensor: str) -> str:
    if sensor == "landsat":
        row = str(properties.get("landsat:wrs_row") or "")
        found = re.search(r"_\d{3}(\d{3})_", item_id)
        row = row or (found[1] if found else "")
        return row if row.isdecimal() else ""
    if sensor == "sentinel-2":
        for text in (properties.get("s2:mgrs_tile"), properties.get("grid:code"), item_id):
            found = (
                re.search(r"(?:^|MGRS-|_T?)(\d{1,2}[C-X][A-Z]{2})(?:_|$)", text) if isinstance(text, str) else None
            )
            if found:
                return found[1].zfill(5)
    if sensor == "sentinel-1":
        found = re.search(r"_(\d{8}T\d{6})_", item_id)  # a pass comes in slices of 25 s, named by their start
        return found[1] if found else ""
    return ""


def _crs(properties: Mapping[str, Any], assets: Mapping[str, Any]) -> str:
    """Return the authority code from proj:code, proj:epsg or, where only assets have one, the first asset's."""
    for holder in (properties, *(_mapping(asset) for asset in list(assets.values())[:20])):
        code = holder.get("proj:code")
        if code is None and holder.get("proj:epsg") is not None:
            code = f"EPSG:{holder['proj:epsg']}"
        if isinstance(code, str) and re.fullmatch(r"[A-Za-z]{2,10}:\d{1,7}", code):
            try:
                return str(CRS.from_user_input(code).to_string())
            except CRSError as error:
                raise _BadItemError(f"its projection {code} is unknown.") from error
    return ""


def _sun_elevation(properties: Mapping[str, Any]) -> float | None:
    elevation = _number(properties.get("view:sun_elevation"))
    zenith = _number(properties.get("s2:mean_solar_zenith"))
    return elevation if elevation is not None else (90.0 - zenith if zenith is not None else None)


def _self_href(document: Mapping[str, Any]) -> str:
    links = document.get("links")
    for link in links if isinstance(links, list) else ():
        entry = _mapping(link)
        if entry.get("rel") == "self" and isinstance(entry.get("href"), str) and len(entry["href"]) <= MAX_URL:
            return str(entry["href"])
    return ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def _share(value: Any) -> float | None:
    percent = _number(value)
    return None if percent is None else min(max(percent / 100.0, 0.0), 1.0)


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _finite(value: Any, how: BandConfig, name: str, default: float) -> float:
    if value is None:
        return default
    number = _number(value)
    if number is None or abs(number) > 1e6 or (name == "scale" and number <= 0):
        raise _BadItemError(f"asset '{how.asset}' declares {name} {shorten(str(value))}, which is no usable number.")
    return number


def _nodata(value: Any) -> float | None:
    if isinstance(value, str):  # JSON has no nan: the raster extension writes it, and inf, as text
        return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}.get(value.lower())
    return _number(value)
