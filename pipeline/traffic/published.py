"""The published record of a site: what each row says about the number of railcars, on which day, and how surely.

Only a dated total of the yard is a known count. A bound, a single train or a length of train is an observation that
says "at least" or "at most"; a span of months, a number of trains or a word like "several" is kept beside the series
and says nothing about one day. A row speaks for its own day only: trains stay two to four days.
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from scipy.stats import norm

from pipeline.errors import ConfigError
from pipeline.model import (
    CAR_PITCH_M,
    CAR_PITCH_REL_SD,
    COUNT_MAX,
    Count,
    KnownCount,
    Observation,
    Outcome,
    PublishedCount,
    RailcarKind,
    Site,
)
from pipeline.traffic.likelihood import Z90, N, at_least, at_most, interval

Says = Literal["total", "at least", "at most", "nothing"]

METHOD = "published"
METHOD_VERSION = "published-1"
NAMESPACE = uuid.UUID("6d0a4a34-7f0c-5f0e-9b0c-3f6f2a6f5b11")  # fixed; identity of published observations

# Relative standard deviation of a published total, by the confidence its row states. Nine people who counted cars in
# one 30 cm image ranged from 880 to 1182 (SCIENCE section 1), an sd near 9 %; a primary count of spaced railcars is
# taken as half of that, what others repeat as more.
REL_SD = {
    "primary": 0.045,
    "primary-quote": 0.06,
    "stated": 0.08,
    "secondary": 0.09,
    "caption-secondary": 0.10,
    "stated-secondary-quote": 0.15,
}
REL_SD_UNKNOWN = 0.15  # a confidence that is not in the table
APPROXIMATE = 1.5  # factor on the sd of a number called approximate
IN_DOUBT = 2.0  # factor on the sd where the row doubts its own scope
LEAST_SD = 1.0  # railcars: nobody's published count is surer than one car
LOCAL_TIME = time(10, 30)  # mean solar time of the imaging satellites' pass, where a row names only its day

# A count of one train or group is no total of the yard.
_PART = re.compile(
    r"\bone (?:train|set|group)\b|\btrain \d|\bnot (?:a |the )?(?:yard )?total\b",
    re.IGNORECASE,
)
_NO_CARS = re.compile(r"\bcargo\b|\bcontainers?\b", re.IGNORECASE)  # rows of cargo are no length of train
_ELSEWHERE = re.compile(r"\bbridge\b", re.IGNORECASE)
_ON_ITS_WAY = re.compile(r"->|→")
_YARD = re.compile(r"\byard\b|\bstation\b|\bdepot\b", re.IGNORECASE)
_APPROXIMATE = re.compile(r"\bapprox|\babout\b|\baround\b", re.IGNORECASE)
_IN_DOUBT = re.compile(r"\bto be checked\b|\bmay be\b|\bperhaps\b|\bunsure\b", re.IGNORECASE)

# Numbers by kind as published rows write them: "175 ore + 14 box + 66 tank".
_OF_A_KIND = re.compile(r"(\d+)\s+(ore|box|tank|flat|passenger|loco|mow)", re.IGNORECASE)
_KINDS = {
    "ore": RailcarKind.ORE,
    "box": RailcarKind.BOX,
    "tank": RailcarKind.TANK,
    "flat": RailcarKind.FLAT,
    "passenger": RailcarKind.PASSENGER,
    "loco": RailcarKind.LOCOMOTIVE,
    "mow": RailcarKind.MAINTENANCE,
}

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PublishedReading:
    """What one published row says about its own day or days."""

    row: PublishedCount
    says: Says
    railcars: float  # the total, or the bound; 0 where it says nothing
    sd: float  # standard deviation of that number, railcars
    why: str  # one clause for the analyst: how the row was read

    @property
    def one_day(self) -> bool:
        """Tell whether the row names one day; spans are levels, not states."""
        return self.row.start == self.row.end

    @property
    def low(self) -> float:
        """Lower end of the central 90 % interval, railcars."""
        return 0.0 if self.says == "at most" else max(0.0, self.railcars - Z90 * self.sd)

    @property
    def high(self) -> float:
        """Upper end of the central 90 % interval, railcars."""
        if self.says == "at least":
            return float(COUNT_MAX)
        return min(float(COUNT_MAX), self.railcars + Z90 * self.sd)

    def by_kind(self) -> dict[str, float]:
        """Return railcars by kind where the row names them, RailcarKind value to railcars; {} otherwise."""
        if self.says != "total":
            return {}
        return {_KINDS[kind.lower()].value: float(number) for number, kind in _OF_A_KIND.findall(self.row.unit)}

    def likelihood(self) -> FloatArray:
        """Return the likelihood of the row over 0…COUNT_MAX, maximum 1; flat where it says nothing."""
        if self.says == "total":
            return interval(self.railcars, self.low, self.high)
        if self.says == "at most":
            return at_most(self.railcars, self.sd)
        if self.says == "at least":
            if self.row.kind == "length_m":
                out = norm.cdf((N + 0.5 - self.railcars) / self.sd)
                return np.asarray(out / out.max())
            return at_least(self.railcars, self.sd)
        return np.ones_like(N)


def readings(site: Site) -> tuple[PublishedReading, ...]:
    """Return what each row of the site's record says, in the record's order.

    Raises
    ------
    ConfigError
        When a row that should hold a number holds none, or an impossible one; names site, day and value.
    """
    return tuple(_read(site, row) for row in site.published)


def known_from_published(site: Site) -> Sequence[KnownCount]:
    """Return the published totals of the yard that name one day, as known counts.

    The standard deviation follows the row's stated confidence (`REL_SD`); the time is that of a morning pass at the
    site, since a row names only its day.
    """
    return tuple(
        KnownCount(_pass_time(site, reading.row.start), reading.railcars, reading.sd, "published")
        for reading in readings(site)
        if reading.says == "total" and reading.one_day
    )


def published_observations(site: Site) -> tuple[Observation, ...]:
    """Return the published rows of one day that say something, as observations of their own source, by date.

    They are not stored with the looks: `railwatch backtest` compares with them, and a judge may be shown them.
    """
    out = [_observation(site, reading) for reading in readings(site) if reading.says != "nothing" and reading.one_day]
    return tuple(sorted(out, key=lambda row: (row.observed_at, row.observation_id)))


def _read(site: Site, row: PublishedCount) -> PublishedReading:
    silent = _why_silent(row)
    if silent:
        return PublishedReading(row, "nothing", 0.0, 0.0, silent)
    number = _number(site, row)
    if row.kind == "length_m":
        cars = number / CAR_PITCH_M
        why = f"{number:g} m of train at {CAR_PITCH_M:g} m a car, give or take {CAR_PITCH_REL_SD:.0%}"
        # The pitch is uncertain, and so is a length that others repeat.
        relative = math.hypot(CAR_PITCH_REL_SD, REL_SD.get(row.confidence, REL_SD_UNKNOWN))
        return PublishedReading(row, "at least", cars, max(cars * relative, LEAST_SD), why)
    text = " ".join((row.unit, row.note, row.scope))
    says: Says = "total"
    sd = number * REL_SD.get(row.confidence, REL_SD_UNKNOWN)
    why = f"a total of the yard, confidence '{row.confidence}'"
    if row.kind == "lower_bound":
        says, why = "at least", "published as a lower bound"
    elif row.kind == "upper_bound":
        says, why = "at most", "published as an upper bound"
    elif _PART.search(text):
        says, why = "at least", "one train or group, not the yard's total"
    else:
        sd *= APPROXIMATE if _APPROXIMATE.search(text) else 1.0
        sd *= IN_DOUBT if _IN_DOUBT.search(text) else 1.0
    return PublishedReading(row, says, number, max(sd, LEAST_SD), why)


def _why_silent(row: PublishedCount) -> str:
    """Return why a row says nothing about the number of railcars in the yard, "" when it does."""
    if row.kind not in ("count", "upper_bound", "lower_bound", "length_m"):
        return f"a row of kind '{row.kind}' states no number of railcars"
    if _ELSEWHERE.search(row.scope) and not _YARD.search(row.scope):
        return f"'{row.scope}' lies outside the yard"
    if _ON_ITS_WAY.search(row.scope):
        return f"'{row.scope}' is a train on its way, not in the yard"
    if row.kind == "length_m" and _NO_CARS.search(row.unit):
        return "the length is of cargo rows, not of railcars"
    return ""


def _number(site: Site, row: PublishedCount) -> float:
    most = COUNT_MAX * CAR_PITCH_M if row.kind == "length_m" else float(COUNT_MAX)
    try:
        number = float(row.value)
    except ValueError:
        number = math.nan
    if not 0 <= number <= most:
        raise ConfigError(
            f"published.csv of site {site.name}: the {row.kind} of {row.start} is '{row.value}', not a number "
            f"between 0 and {most:g}; correct the value, or the kind if the row states no number."
        )
    return number


def _observation(site: Site, reading: PublishedReading) -> Observation:
    row = reading.row
    name = "|".join((site.name, row.start.isoformat(), row.kind, row.value, row.scope, row.source))
    identity = str(uuid.uuid5(NAMESPACE, name))
    count = Count(
        railcars=reading.railcars,
        low=reading.low,
        high=reading.high,
        detection_limit=max(reading.railcars, 1.0) if reading.says == "at most" else 1.0,
        likelihood=tuple(float(v) for v in reading.likelihood()),
        method=METHOD,
        method_version=METHOD_VERSION,
        by_kind=reading.by_kind(),
        measures={"sd": reading.sd},
    )
    return Observation(
        observation_id=identity,
        site=site.name,
        scene_id=f"published_{row.start:%Y%m%d}_{identity[:8]}",
        observed_at=_pass_time(site, row.start),
        sensor="published",
        platform=row.publisher,
        orbit="",
        gsd_m=0.0,  # not ours to know: the image was someone else's
        outcome=Outcome.COUNTED,
        clear_fraction=None,
        flags=(),
        method=METHOD,
        method_version=METHOD_VERSION,
        config_digest="",
        detail=f"{row.publisher}: {row.value} {row.unit} ({row.confidence}); {reading.why}. {row.source}",
        count=count,
        source=METHOD,
    )


def _pass_time(site: Site, day: date) -> datetime:
    """Return 10:30 mean solar time at the site on a UTC day, as UTC and never leaving that day."""
    centre = site.area.centroid
    ahead = timedelta(hours=_longitude(site.crs, centre.x, centre.y) / 15.0)
    at = datetime.combine(day, LOCAL_TIME, tzinfo=UTC) - ahead
    first = datetime.combine(day, time.min, tzinfo=UTC)
    return min(max(at, first), first + timedelta(hours=23, minutes=59)).replace(second=0, microsecond=0)


@cache
def _longitude(crs: str, x: float, y: float) -> float:
    return float(Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)[0])
