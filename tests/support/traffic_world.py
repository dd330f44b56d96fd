"""A simulated yard as the judge meets it: look dates with clouds, errors, bounds, dwell; nothing but numbers.

Not the judge's own simulation: states, look dates and errors are drawn here by other code, so that a calibration is
checked against a world that it did not make.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from shapely.geometry import box

from pipeline.model import COUNT_MAX, Count, Observation, Outcome, Site, Zone

FloatArray = NDArray[np.float64]
Family = Literal["negative-binomial", "trains", "lognormal"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START = datetime(2014, 1, 1, 2, 20, tzinfo=UTC)
N = np.arange(COUNT_MAX + 1, dtype=np.float64)


@dataclass(frozen=True)
class Yard:
    """What is quiet at a yard, and how it is seen.

    SCIENCE section 4: 57 usable looks a year, bounds among them, a dwell of 7 days, 40 % zeros, "expected 6 (90 %:
    0–14)"; section 3: an error of 4.2 railcars (RMS) on up to 20 at 10 m.
    """

    mean: float = 10.0  # railcars when traffic runs
    size: float = 5.0  # of the negative binomial
    zeros: float = 0.4  # share of states without traffic
    dwell_days: float = 7.0
    looks_a_year: float = 57.0
    season: float = 0.0  # log amplitude of the annual harmonic
    drift: float = 0.0  # growth of the counting bias a year: 0.1 is 10 %
    family: Family = "negative-binomial"
    sd: tuple[float, ...] = (2.0, 4.0, 5.5)  # errors at ten railcars, of a third of the looks each
    bounds: float = 0.2  # share of looks that tell a small number as a bound only


@dataclass(frozen=True)
class Rise:
    """A surge: so many railcars (in the mean) from a day on."""

    day: float  # since the series' first day
    railcars: float
    days: float


def a_site(name: str = "yard", canopy: date | None = None) -> Site:
    """Return a site; the judge looks at its name and canopies only."""
    area = box(633_000, 4_697_000, 635_000, 4_698_000)
    zones = (Zone("canopy", area, "Canopy", canopy),) if canopy else ()
    return Site(name, "A simulated yard", "EPSG:32652", area, (), zones)


def look_days(yard: Yard, years: float, rng: np.random.Generator) -> FloatArray:
    """Return days since the start: passes every 2.5 days, hidden by clouds that last, more of them in summer."""
    passes = np.arange(0.0, years * 365.2425, 2.5)
    chance = 1.0 / (1.0 + np.exp(-(1.1 * -np.cos(2 * np.pi * (passes - 15) / 365.2425))))  # of cloud, summer high
    wanted = yard.looks_a_year / 146.1
    lasting = rng.standard_normal(len(passes))
    for i in range(1, len(passes)):
        lasting[i] = 0.5 * lasting[i - 1] + np.sqrt(0.75) * lasting[i]
    score = lasting + 1.2 * (chance - 0.5)
    kept = score <= np.quantile(score, wanted)
    return np.asarray(passes[kept] + rng.uniform(-0.01, 0.01, int(kept.sum())))


def states(yard: Yard, days: FloatArray, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the true quiet railcars on each day."""
    lift = np.exp(yard.season * np.cos(2 * np.pi * (days - 280) / 365.2425))
    if yard.family == "trains":
        return _trains(yard, days, lift, rng)
    out = np.zeros(len(days), dtype=np.int64)
    # The state holds a rank, so that a season lifts it while it stays.
    now, until = 0, -1.0
    for i, day in enumerate(days):
        if day >= until:
            now = _draw(yard, float(lift[i]), rng)
            until = day + rng.exponential(yard.dwell_days)
            # What happened between looks does not matter: the stay has no memory.
        out[i] = now
    return out


def _draw(yard: Yard, lift: float, rng: np.random.Generator) -> int:
    if rng.random() < yard.zeros:
        return 0
    mean = yard.mean * lift
    if yard.family == "lognormal":
        sigma = 0.6
        return round(float(mean * np.exp(rng.normal(-(sigma**2) / 2, sigma))))
    return int(rng.negative_binomial(yard.size, yard.size / (yard.size + mean)))


def _trains(yard: Yard, days: FloatArray, lift: FloatArray, rng: np.random.Generator) -> NDArray[np.int64]:
    """Trains of 3 to 14 cars come on their own and stay; the yard's number is the sum of those there."""
    rate = -np.log(yard.zeros) / yard.dwell_days  # so that the yard is empty in `zeros` of the time
    end = float(days[-1]) + 1.0
    begin = float(days[0]) - 6 * yard.dwell_days
    top = float(lift.max())
    arrivals = np.sort(rng.uniform(begin, end, rng.poisson(rate * top * (end - begin))))
    lifts = np.interp(arrivals, days, lift)
    arrivals = arrivals[rng.random(len(arrivals)) < lifts / top]
    leaves = arrivals + rng.exponential(yard.dwell_days, len(arrivals))
    cars = rng.integers(3, 15, len(arrivals))
    return np.array([int(cars[(arrivals <= d) & (leaves > d)].sum()) for d in days], dtype=np.int64)


def a_series(
    yard: Yard, years: float, seed: int, rises: Sequence[Rise] = (), *, added: bool = False, site: str = "yard"
) -> tuple[Observation, ...]:
    """Return counted looks of a simulated yard.

    Parameters
    ----------
    yard : Yard
    years : float
    seed : int
    rises : sequence of Rise
        The yard holds at least a Poisson number about `railcars` while one lasts.
    added : bool
        True: on top of the quiet traffic instead.
    site : str
    """
    rng = np.random.default_rng([seed, 77])
    days = look_days(yard, years, rng)
    truth = states(yard, days, rng).astype(np.float64)
    for rise in rises:
        during = (days >= rise.day) & (days < rise.day + rise.days)
        more = rng.poisson(rise.railcars, len(days))
        truth = np.where(during, truth + more if added else np.maximum(truth, more), truth)
    biased = truth * np.exp(np.log1p(yard.drift) * days / 365.2425)
    kinds = rng.choice(len(yard.sd), len(days))
    bound = rng.random(len(days)) < yard.bounds
    limits = rng.choice([10, 20, 30], len(days))
    out = []
    for i, day in enumerate(days):
        spread = yard.sd[kinds[i]] * np.sqrt((biased[i] + 10) / 20)
        seen = int(np.clip(round(biased[i] + rng.standard_normal() * spread), 0, COUNT_MAX))
        at = START + timedelta(days=float(day))
        limit = int(limits[i]) if bound[i] and seen <= limits[i] else 0
        out.append(an_observation(at, seen, yard.sd[kinds[i]], limit=limit, site=site))
    return tuple(out)


def a_stack(
    yard: Yard, years: float, yards: int, seed: int, rises: Sequence[Rise | None] = ()
) -> tuple[FloatArray, list[tuple[float, int]], NDArray[np.int64]]:
    """Return many yards that are seen on the same dates: days since 1970, each look's (sd, limit), and estimates.

    A look with a limit tells estimates up to it as "at most". `rises` holds a surge, or None, for each yard.

    Returns
    -------
    days : ndarray
        (looks,).
    looks : list of (float, int)
        Error at ten railcars and limit, 0 for none.
    estimates : ndarray
        (looks, yards), whole railcars.
    """
    rng = np.random.default_rng([seed, 78])
    days = look_days(yard, years, rng)
    truth = np.array([states(yard, days, np.random.default_rng([seed, 79, k])) for k in range(yards)], dtype=float).T
    for k, rise in enumerate(rises):
        if rise is not None:
            during = (days >= rise.day) & (days < rise.day + rise.days)
            level = np.maximum(truth[:, k], rng.poisson(rise.railcars, len(days)))
            truth[:, k] = np.where(during, level, truth[:, k])
    biased = truth * np.exp(np.log1p(yard.drift) * days / 365.2425)[:, None]
    sd = rng.choice(yard.sd, len(days))
    limit = np.where(rng.random(len(days)) < yard.bounds, rng.choice([10, 20, 30], len(days)), 0)
    noise = rng.standard_normal(biased.shape) * sd[:, None] * np.sqrt((biased + 10) / 20)
    seen = np.clip(np.rint(biased + noise), 0, COUNT_MAX).astype(np.int64)
    since_1970 = (START - EPOCH).total_seconds() / 86400.0
    return days + since_1970, list(zip(sd.tolist(), limit.tolist(), strict=True)), seen


def an_observation(
    at: datetime, seen: float, sd: float = 2.0, *, limit: int = 0, site: str = "yard", sensor: str = "sentinel-2"
) -> Observation:
    """Return a counted look; `limit` above 0 makes it "at most `limit`"."""
    vector = look_vector(round(seen), sd, limit)
    possible = np.flatnonzero(np.asarray(vector) >= 0.2585)
    low, high = float(possible[0]), float(possible[-1])
    number = 0.0 if limit else float(seen)
    count = Count(
        number, min(low, number), max(high, number), float(limit or 3), vector, "occupancy", "1.0"
    )  # fmt: skip
    name = f"{site} {at.isoformat()} {sensor}"
    return Observation(
        str(uuid.uuid5(uuid.NAMESPACE_URL, name)), site, f"S2A_{at:%Y%m%dT%H%M}", at, sensor, "S2A", "R103", 10.0,
        Outcome.COUNTED, 1.0, (), "occupancy", "1.0", "c" * 32, "", count,
    )  # fmt: skip


@lru_cache(maxsize=20_000)
def look_vector(seen: int, sd: float, limit: int) -> tuple[float, ...]:
    """Return the likelihood over 0…COUNT_MAX of a number seen with an error, or of an upper limit."""
    if limit:
        # What was seen lay at or below the limit: the probability of that, for each true number.
        spread = np.maximum(sd * np.sqrt((N + 10) / 20), 0.05)
        out = norm.cdf((limit + 0.5 - N) / spread)
    elif sd == 0:
        out = (seen == N).astype(np.float64)
    else:
        spread = sd * np.sqrt((N + 10) / 20)
        out = np.exp(-0.5 * ((N - seen) / spread) ** 2)
    return tuple(float(v) for v in out / out.max())
