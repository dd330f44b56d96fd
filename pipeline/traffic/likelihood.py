"""What one look says: a likelihood over 0…COUNT_MAX, whatever form the count came in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import SeriesError
from pipeline.model import COUNT_MAX, Count, Observation, Outcome

N = np.arange(COUNT_MAX + 1, dtype=np.float64)
Z90 = 1.6448536269514722  # half-width of a central 90 % interval in standard deviations
DAYS_A_YEAR = 365.2425  # Gregorian mean; days are counted since 1970-01-01
LOWER = math.exp(-0.5 * Z90**2)  # likelihood ratio at that distance: below it a number is contradicted
# Counts that are kept and shown but never judged: radar whose scale is not proven, images of no certain day.
UNJUDGED = frozenset({"RADAR_UNPROVEN", "DATE_UNCERTAIN", "TRACKS_OVERGROWN"})
CONTRADICTED = 0.01  # two looks of one day whose best common number is less likely than this saw two states

FloatArray = NDArray[np.float64]


def exact(railcars: float) -> FloatArray:
    """Return the likelihood of an exact count, railcars; fractions are shared between their neighbours."""
    out = np.maximum(0.0, 1.0 - np.abs(N - _sane(railcars)))
    return np.asarray(out / out.max())


def interval(railcars: float, low: float, high: float) -> FloatArray:
    """Return the likelihood of a count with a central 90 % interval: two half-normals, as wide as each side."""
    for value in (railcars, low, high):
        _sane(value)
    if not low <= railcars <= high:
        raise SeriesError(f"the interval {low:g} to {high:g} does not hold its own count {railcars:g}.")
    below, above = max((railcars - low) / Z90, 0.3), max((high - railcars) / Z90, 0.3)
    sd = np.where(railcars > N, below, above)
    return np.asarray(np.exp(-0.5 * ((N - railcars) / sd) ** 2))


def at_most(limit: float, soft: float = 2.0) -> FloatArray:
    """Return the likelihood of an upper limit: flat up to `limit`, then a half-normal of sd `soft` railcars."""
    over = np.maximum(N - _sane(limit), 0.0)
    return np.asarray(np.exp(-0.5 * (over / max(soft, 0.3)) ** 2))


def at_least(limit: float, soft: float = 0.5) -> FloatArray:
    """Return the likelihood of a lower limit: flat from `limit` on."""
    under = np.maximum(_sane(limit) - N, 0.0)
    return np.asarray(np.exp(-0.5 * (under / max(soft, 0.3)) ** 2))


def _sane(value: float) -> float:
    if not math.isfinite(value) or value < 0 or value > COUNT_MAX:
        raise SeriesError(f"{value!r} is no number of railcars between 0 and {COUNT_MAX}.")
    return value


def combine(looks: Sequence[FloatArray]) -> FloatArray:
    """Return what the looks of one day say together.

    Looks of one state multiply. Looks that contradict each other saw two states (a train stays for hours, or a
    counter erred): then either may be right, which is the mean of the two.
    """
    out = looks[0]
    for look in looks[1:]:
        product = out * look
        top = float(product.max())
        out = product / top if top >= CONTRADICTED else (out + look) / float((out + look).max())
    return out


@dataclass(frozen=True, eq=False)
class Evidence:
    """One look as the judge sees it."""

    observation_id: str
    scene_id: str
    observed_at: datetime  # UTC
    day: float  # days since 1970-01-01, UTC
    sensor: str
    likelihood: FloatArray  # (COUNT_MAX + 1,), of the day's looks up to this one together, maximum 1
    own: FloatArray  # (COUNT_MAX + 1,), of this look alone
    count: Count


def evidence(observations: Iterable[Observation]) -> tuple[Evidence, ...]:
    """Return the looks that say something, in date order, each joined with the earlier ones of its UTC day.

    Rejected and failed rows, rows without a count, superseded rows, and counts that are unproven or of no certain day
    say nothing.

    Raises
    ------
    SeriesError
        When a count is impossible, or one identifier names two different rows; names the observation.
    """
    rows: dict[str, Observation] = {}
    for row in observations:
        former = rows.setdefault(row.observation_id, row)
        if former != row:
            raise SeriesError(f"observation {row.observation_id} appears twice with different content.")
    ordered = sorted(rows.values(), key=lambda row: (_utc(row), row.observation_id))
    out: list[Evidence] = []
    for row in ordered:
        if row.outcome not in (Outcome.COUNTED, Outcome.FLAGGED) or row.superseded_by:
            continue
        if row.count is None:
            raise SeriesError(f"observation {row.observation_id} is {row.outcome.value} but holds no count.")
        if not UNJUDGED.isdisjoint((*row.flags, *row.count.flags)):
            continue
        own, at = _vector(row, row.count), _utc(row)
        day = at.timestamp() / 86400.0
        mates = [past.own for past in out[-8:] if math.floor(past.day) == math.floor(day)]
        joined = combine([*mates, own]) if mates else own
        out.append(Evidence(row.observation_id, row.scene_id, at, day, row.sensor, joined, own, row.count))
    return tuple(out)


def _utc(row: Observation) -> datetime:
    if row.observed_at.tzinfo is None:
        raise SeriesError(f"observation {row.observation_id} has a time without a zone; times are UTC.")
    return row.observed_at.astimezone(UTC)


def _vector(row: Observation, count: Count) -> FloatArray:
    """Return a row's likelihood scaled to a maximum of 1, after looking whether it is possible at all."""
    where = f"observation {row.observation_id} ({row.scene_id})"
    for name in ("railcars", "low", "high"):
        value = getattr(count, name)
        if not math.isfinite(value) or not 0 <= value <= COUNT_MAX:
            raise SeriesError(f"{where}: {name} is {value!r}, not a number between 0 and {COUNT_MAX}.")
    if not count.low <= count.railcars <= count.high:
        raise SeriesError(f"{where}: {count.railcars:g} lies outside its interval {count.low:g} to {count.high:g}.")
    vector = np.asarray(count.likelihood, dtype=np.float64)
    if vector.shape != (COUNT_MAX + 1,):
        raise SeriesError(f"{where}: the likelihood has {vector.size} values instead of {COUNT_MAX + 1}.")
    if not np.isfinite(vector).all() or (vector < 0).any() or vector.max() <= 0:
        raise SeriesError(f"{where}: the likelihood holds negative or infinite values, or nothing at all.")
    return np.asarray(vector / vector.max())
