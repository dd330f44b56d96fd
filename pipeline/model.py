"""The words of railwatch: what passes between its rooms, as frozen dataclasses.

Conventions. Times are timezone-aware UTC. Projected coordinates are metres in the site's CRS; longitude
and latitude are WGS 84 degrees. Pixel (0, 0) is the upper-left pixel and affine transforms map *corners*.
Masks are True where usable. Reflectance is surface reflectance as a fraction (1.0 = 100 %), radar is
gamma0 or sigma0 in linear power.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import LineString, Polygon

FloatArray = NDArray[np.floating[Any]]
BoolArray = NDArray[np.bool_]

COUNT_MAX = 600  # largest railcar count a likelihood speaks of; Tumangang's record is 255 (SITE record)
CAR_PITCH_M = 14.0  # Russian accounting length over couplers, metres
CAR_PITCH_REL_SD = 0.15  # relative standard deviation of that pitch between fleets


class Outcome(StrEnum):
    """What became of a look."""

    COUNTED = "counted"
    FLAGGED = "flagged"  # counted, with reservations
    REJECTED = "rejected"  # seen, not usable; the flags say why
    FAILED = "failed"  # an error; the detail says which item and asset


class RailcarKind(StrEnum):
    """Kinds of railcar as published counts use them."""

    ORE = "ore car"  # gondola or hopper
    BOX = "box car"
    TANK = "tank car"
    FLAT = "flat car"
    PASSENGER = "passenger car"
    LOCOMOTIVE = "locomotive"
    MAINTENANCE = "maintenance-of-way"
    UNKNOWN = "unknown"


class Tier(StrEnum):
    """How rare an alarm is on quiet series: watch at most 2, alert 0.5, high 0.1 a year."""

    WATCH = "watch"
    ALERT = "alert"
    HIGH = "high"


class SurgeStatus(StrEnum):
    """Where an episode stands."""

    PROVISIONAL = "provisional"
    CONFIRMED = "confirmed"
    ENDED = "ended"
    NEW_REGIME = "new-regime"


@dataclass(frozen=True, slots=True)
class Grid:
    """Projection, affine transform and shape; travels with every array."""

    crs: str  # authority code such as "EPSG:32652"
    transform: tuple[float, float, float, float, float, float]  # a, b, c, d, e, f: (col, row) corner to metres
    width: int  # columns
    height: int  # rows

    @property
    def gsd_m(self) -> float:
        """Ground sampling distance along columns, metres."""
        return float(np.hypot(self.transform[0], self.transform[3]))

    @property
    def shape(self) -> tuple[int, int]:
        """Array shape (rows, columns)."""
        return self.height, self.width

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in metres of `crs`, over all four corners."""
        xy = [self.to_xy(c, r) for c in (0.0, self.width) for r in (0.0, self.height)]
        xs, ys = [p[0] for p in xy], [p[1] for p in xy]
        return min(xs), min(ys), max(xs), max(ys)

    def to_xy(self, col: Any, row: Any) -> tuple[Any, Any]:
        """Map pixel-corner coordinates (scalars or arrays) to metres in `crs`."""
        a, b, c, d, e, f = self.transform
        return a * col + b * row + c, d * col + e * row + f

    def to_pixel(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Map metres in `crs` to (col, row) pixel-corner coordinates; the centre of pixel (0, 0) is (0.5, 0.5)."""
        a, b, c, d, e, f = self.transform
        det = a * e - b * d
        dx, dy = x - c, y - f
        return (e * dx - b * dy) / det, (a * dy - d * dx) / det


@dataclass(frozen=True, slots=True)
class Track:
    """One rail track's centre line."""

    track_id: str  # unique within the site
    name: str  # as an analyst would say it
    line: LineString  # centre line in the site's CRS, metres
    use: Literal["main", "yard", "siding", "station"]
    gauge_mm: tuple[int, ...] = (1435,)  # dual gauge has two
    valid_from: date | None = None  # first day on which it exists; None: always
    valid_to: date | None = None  # last day on which it exists; None: still
    provisional: bool = True  # True: the line was not digitised from an image

    def exists_on(self, day: date) -> bool:
        """Tell whether the track exists on `day`."""
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, slots=True)
class Zone:
    """A part of the site with a meaning of its own."""

    kind: Literal["apron", "canopy", "water", "ignore"]
    area: Polygon  # in the site's CRS, metres
    name: str = ""
    valid_from: date | None = None
    valid_to: date | None = None

    def exists_on(self, day: date) -> bool:
        """Tell whether the zone is in force on `day`."""
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, slots=True)
class PublishedCount:
    """One row of a site's published record."""

    start: date
    end: date
    kind: str  # count, upper_bound, lower_bound, length_m, counts_in_turn, qualitative, trains, ...
    value: str  # as published
    unit: str
    sensor: str
    publisher: str
    confidence: str
    source: str  # address, never followed
    note: str = ""
    scope: str = ""  # the place as the publisher named it


@dataclass(frozen=True, slots=True)
class KnownCount:
    """A date on which the number of railcars is known from elsewhere; calibrates coarse looks."""

    observed_at: datetime  # UTC
    railcars: float
    sd: float  # standard deviation of that number, railcars
    origin: Literal["published", "resolved", "verdict", "injection"]


@dataclass(frozen=True, slots=True)
class Site:
    """A place that is watched."""

    name: str  # lower-case identifier, [a-z0-9-]
    title: str  # for people
    crs: str  # projected CRS, metres
    area: Polygon  # area of interest in `crs`: tracks and enough surroundings for off-yard statistics
    tracks: tuple[Track, ...]
    zones: tuple[Zone, ...] = ()
    published: tuple[PublishedCount, ...] = ()

    def tracks_on(self, day: date) -> tuple[Track, ...]:
        """Return the tracks that exist on `day`."""
        return tuple(track for track in self.tracks if track.exists_on(day))

    def zones_on(self, day: date, kind: str) -> tuple[Zone, ...]:
        """Return the zones of `kind` in force on `day`."""
        return tuple(zone for zone in self.zones if zone.kind == kind and zone.exists_on(day))

    def grid(self, gsd_m: float) -> Grid:
        """Return the site's own grid at `gsd_m`: the area's bounds snapped outward to whole pixels.

        Snapping to multiples of the sampling keeps Sentinel-2's own 10 m pixels unresampled.
        """
        west, south, east, north = self.area.bounds
        left, top = np.floor(west / gsd_m) * gsd_m, np.ceil(north / gsd_m) * gsd_m
        width = int(np.ceil(round((east - left) / gsd_m, 6)))
        height = int(np.ceil(round((top - south) / gsd_m, 6)))
        return Grid(self.crs, (float(gsd_m), 0.0, float(left), 0.0, -float(gsd_m), float(top)), width, height)


@dataclass(frozen=True, slots=True)
class Asset:
    """One band of one item, described but not read."""

    band: str  # common name: blue, green, red, rededge1, nir, nir08, swir16, swir22, scl, qa, pan, vv, vh, rgb
    href: str  # as the catalogue gave it, unsigned
    scale: float = 1.0  # declared: value = digital number × scale + offset
    offset: float = 0.0
    nodata: float | None = None
    gsd_m: float | None = None
    index: int = 1  # 1-based band within the file
    # Radar amplitudes: address of their calibration annotation, "" when there is none; None: the numbers are values.
    calibration: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One catalogue entry: a tile, or one processing, of an acquisition."""

    item_id: str
    collection: str
    source: str  # name of the source that listed it
    processing: str  # processing baseline or version, "" when not stated
    observed_at: datetime
    assets: tuple[Asset, ...]
    crs: str = ""  # of the pixels, "" when the item does not say
    footprint: Polygon | None = None  # WGS 84
    updated: str = ""  # the catalogue's own time stamp, breaks ties between processings
    offset_applied: bool | None = None  # catalogue's word on whether the offset is already removed
    self_href: str = ""  # the item's own address, for the reader of a report
    sensor: str = ""  # sentinel-2, landsat, sentinel-1, vhr, tiles; "" is a file of a folder: vhr
    platform: str = ""  # S2A, L9, S1A, ..., "" when unknown
    orbit: str = ""  # R103, P114 (Landsat path), "" when unknown
    tile: str = ""  # 52TFM, 114031: which part of the pass; processings of one tile replace each other
    gsd_m: float | None = None  # of the source's description of the collection
    sun_elevation_deg: float | None = None
    sun_azimuth_deg: float | None = None  # clockwise from north
    view_azimuth_deg: float | None = None
    cloud_cover: float | None = None  # of the whole tile, 0..1
    date_uncertain: bool = False  # True: the time is a range or a release date
    problem: str = ""  # why this entry cannot be used, one sentence; it is listed and never read

    def asset(self, band: str) -> Asset | None:
        """Return the asset of `band`, None when the item has none."""
        return next((asset for asset in self.assets if asset.band == band), None)


@dataclass(frozen=True, slots=True)
class Scene:
    """One acquisition (a pass) in a source, described but not yet fetched."""

    scene_id: str  # stable across processings: platform, solar day and orbit, such as S2A_20231006_R103
    source: str
    sensor: Literal["sentinel-2", "landsat", "sentinel-1", "vhr", "tiles"]
    platform: str  # S2A, S2B, S2C, L8, L9, S1A, ..., or the publisher of an image
    observed_at: datetime  # UTC, the earliest of its items
    gsd_m: float
    items: tuple[Item, ...]  # sorted by item_id; the tiles of the pass in its newest processing
    orbit: str = ""  # relative orbit (R103), path/row (114/031), "" when unknown
    sun_elevation_deg: float | None = None
    sun_azimuth_deg: float | None = None  # clockwise from north
    view_azimuth_deg: float | None = None
    cloud_cover: float | None = None  # of the whole tile, 0..1; says nothing about the yard
    superseded: tuple[str, ...] = ()  # item ids of older processings of the same pass
    date_uncertain: bool = False  # True: the time is a range or a release date


@dataclass(frozen=True, eq=False)
class Chip:
    """The site's window of a scene, on a Grid, as archived: digital numbers, nothing decided yet."""

    site: str
    scene: Scene
    grid: Grid
    bands: tuple[str, ...]  # order of `values`
    values: NDArray[Any]  # (bands, rows, columns), the file's own digital numbers
    valid: BoolArray  # (rows, columns), True = inside the image and not nodata in any band of `values`
    classes: NDArray[np.uint8] | None  # (rows, columns), the product's scene classification or quality bits
    scale: tuple[float, ...]  # declared, a band each
    offset: tuple[float, ...]  # declared, a band each
    sha256: str = ""  # of the archived file
    path: str = ""  # relative to the archive


@dataclass(frozen=True, eq=False)
class Look:
    """What one chip let us see."""

    site: str
    scene: Scene
    grid: Grid
    bands: tuple[str, ...]
    values: NDArray[np.float32]  # (bands, rows, columns): reflectance, or radar linear power; NaN where invalid
    clear: BoolArray  # (rows, columns), True = usable: valid and neither cloud, cloud shadow nor saturated
    clear_fraction: float  # of the track area, 0..1
    flags: tuple[str, ...] = ()  # canonical order; a `reject` flag means no count
    shift_px: tuple[float, float] | None = None  # (columns, rows) by which the image lay off the reference; removed
    measures: Mapping[str, float] = field(default_factory=dict)  # named quality figures: ndsi, residual, ...
    detail: str = ""  # one sentence for a rejected look

    def band(self, name: str) -> NDArray[np.float32]:
        """Return the (rows, columns) array of a band.

        Raises
        ------
        KeyError
            When the look has no such band.
        """
        if name not in self.bands:
            raise KeyError(f"look {self.scene.scene_id} has no band {name}, only {', '.join(self.bands)}")
        out: NDArray[np.float32] = self.values[self.bands.index(name)]
        return out


@dataclass(frozen=True, slots=True)
class Railcar:
    """One vehicle resolved in a look."""

    polygon: Polygon  # outline in the site's CRS, metres
    track_id: str
    position_m: float  # of its middle, along the track from the line's first point
    length_m: float  # over couplers
    kind: RailcarKind
    score: float  # probability that it is a railcar, 0..1


@dataclass(frozen=True, slots=True)
class Count:
    """Railcars in a look."""

    railcars: float  # best value
    low: float  # central 90 % interval
    high: float
    detection_limit: float  # smallest number that this look would have shown: 95 % power at 1 % false alarm
    likelihood: tuple[float, ...]  # P(look | n) for n = 0..COUNT_MAX, scaled to a maximum of 1
    method: str  # resolved, metres, occupancy, radar
    method_version: str
    flags: tuple[str, ...] = ()
    by_kind: Mapping[str, float] = field(default_factory=dict)  # RailcarKind value to railcars
    by_track: Mapping[str, float] = field(default_factory=dict)  # track_id to railcars
    apron: float | None = None  # activity beside the tracks, railcar equivalents, not in the count
    railcar_list: tuple[Railcar, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)  # for the record: scale, zero, ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """A look that a counter declined to count: the row is `rejected`, never zero."""

    flags: tuple[str, ...]  # canonical order, at least one of severity `reject`
    detail: str  # one sentence for the analyst
    method: str
    method_version: str
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observation:
    """A stored look with its count and outcome; one row of the series."""

    observation_id: str  # UUIDv5, see `pipeline.store.identity`
    site: str
    scene_id: str
    observed_at: datetime
    sensor: str
    platform: str
    orbit: str
    gsd_m: float
    outcome: Outcome
    clear_fraction: float | None
    flags: tuple[str, ...]
    method: str
    method_version: str
    config_digest: str
    detail: str = ""  # why rejected or failed: one sentence naming item and asset
    count: Count | None = None  # only for counted and flagged
    item_ids: tuple[str, ...] = ()
    source: str = ""
    processing: str = ""
    chip_path: str = ""
    chip_sha256: str = ""
    history_digest: str = ""  # of the earlier looks the count leaned on; changes when a late look arrives
    sun_elevation_deg: float | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    superseded_by: str = ""  # observation_id of the row that replaced this one, "" for current rows


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the past says one date should show."""

    observed_at: datetime
    expected: float  # mean, railcars
    low: float  # central 90 % of the predictive distribution
    high: float
    looks: int  # informative looks behind it


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm as it was given; never changed, never withdrawn."""

    site: str
    observation_id: str
    observed_at: datetime  # of the look that raised it
    tier: Tier
    statistic: str  # look (single look's tail) or sum (pooled over looks)
    rate_per_year: float  # how often quiet series give one at least as strong
    ratio: float


@dataclass(frozen=True, slots=True)
class Surge:
    """An episode of traffic above baseline."""

    surge_id: str  # UUIDv5 of site and first alarming look
    site: str
    tier: Tier  # the highest reached
    status: SurgeStatus
    onset_earliest: datetime  # last informative look at baseline
    onset_latest: datetime  # first look above it
    first_alarm_at: datetime
    peak_at: datetime
    peak_railcars: float
    expected: float  # at the first alarm
    expected_low: float
    expected_high: float
    ratio: float  # peak over expected, expected floored at 1
    alarm_rate_per_year: float  # smallest calibrated rate reached
    ended_at: datetime | None = None
    verdict: str = ""  # confirm, reject or "": an analyst's latest word
    observation_ids: tuple[str, ...] = ()  # looks of the episode in date order
    sentence: str = ""  # the line for the analyst


@dataclass(frozen=True, slots=True)
class Verdict:
    """An analyst's word on a surge or a count: append-only."""

    verdict_id: str
    site: str
    subject: Literal["surge", "count"]
    subject_id: str  # surge_id or observation_id
    decision: Literal["confirm", "reject", "correct", "note", "undo"]  # a note decides nothing; undo takes back one
    by: str
    note: str
    at: datetime
    reason: str = ""  # cloud, snow, shift, construction, containers, other
    railcars: float | None = None  # the corrected number, for decision `correct`


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What happened to one thing in one step."""

    step: str  # discover, acquire, count, record, judge, report
    subject: str  # scene id, item id, source name
    outcome: Literal["processed", "skipped", "rejected", "failed", "superseded"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a step did; ledgers of parallel parts merge into that of the round."""

    entries: tuple[LedgerEntry, ...] = ()

    def __add__(self, other: Ledger) -> Ledger:
        """Return both ledgers' entries, sorted and without repeats, so that the order of work leaves no trace."""
        merged = sorted({*self.entries, *other.entries}, key=lambda e: (e.step, e.subject, e.outcome, e.detail))
        return Ledger(tuple(merged))

    def of(self, outcome: str) -> Sequence[LedgerEntry]:
        """Return the entries with this outcome."""
        return [entry for entry in self.entries if entry.outcome == outcome]
