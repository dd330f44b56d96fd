"""From registered, normalised pixels to an uncalibrated number of railcars and its noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.counting.occupancy.apron import apron_activity
from pipeline.counting.occupancy.bench import LAST, Bench, Series, day_of, design_of, set_up, sun_of
from pipeline.counting.occupancy.calibrate import Calibration, Noise, calibrate
from pipeline.counting.occupancy.flank import doubtful
from pipeline.counting.occupancy.lesson import Lesson, learn, read, respond
from pipeline.counting.occupancy.response import Response
from pipeline.simulate.coarse_cars import SUN_MIN_DEG

FloatArray = NDArray[np.float64]

GROUP_SHADOW, GROUP_DEG = 0.2, 40.0  # logarithm of the shadow's length, and azimuth, that share one answer
FLOOR_RANGE = (0.75, 2.25)  # noise of an empty yard, railcars
WET_CLASSES = (1.0, 10.0)  # variance of wet patches over that of dry ground, by which known dates are read together
MEASURED_GSD_M = 10.0
# Of the scatter of the emptier part of the history, which holds trains too. Errors of empty yards were half as large
# as with 0.75, which was right before cars were stood on ballast alone (seeds 940 to 946).
FLOOR_SHARE = 0.52
RELATIVE_SHARE = 0.8  # of the relative scatter of injected cars, which holds that of the hosts (seeds 940 to 946)
RELATIVE_FLOOR, RELATIVE_MURK = 0.10, 0.4  # part of the noise that grows with the number, and its power of the murk
# Murk below which days are ordinary; how fast an empty yard's noise grows with it. It was 2.2 while wet patches were
# read as trains; since they are told apart, seeds 900 to 908 show hardly any growth, 912 and 913 some.
CLEAR, MURK_POWER = 1.5, 1.0
MURK_POWER_COARSE = 2.2  # where patches are no wider than pixels they still look like trains (not measured)
DRIFT_FROM, DRIFT_POWER = 2.0, 0.7  # drift of the yard from which it counts as murk too, and its power
ODD_FROM, ODD_GROWTH = 2.0, 0.2  # robust sigmas of the ground off the yard from which the noise grows, and how fast
PAST_SHARE = 0.11  # of the middle 60 % of the history's numbers, taken as noise where no date is known
BESIDE_SHARE = 0.5  # of the cars that may be ground which changed with what lies beside it, taken as noise
NEW_VIEW_LOOKS = 4  # fewer looks from the same orbit: the interval is widened
NEW_VIEW_STRETCH = 1.5
GREEN_LOOKS = 5  # that a pixel needs to tell how green it grows


@dataclass(frozen=True, eq=False)
class Estimate:
    """An uncalibrated number and all that is needed to state it."""

    x: float  # railcars before scale and zero
    usual: float  # the same, median of the history
    noise: Noise
    calibration: Calibration
    shift_px: tuple[float, float] | None
    apron: float | None
    by_track: FloatArray  # (T,) shares, not normalised
    measures: dict[str, float]


def measure(series: Series, shift_px: tuple[float, float] | None, measures: dict[str, float]) -> Estimate:
    """Fit the baseline, filter, take out spatial modes, and calibrate the sum by injection and known dates.

    Parameters
    ----------
    series : Series
    shift_px : (float, float), optional
        Of the look, handed on.
    measures : dict
        Figures for the record so far; more are added to a copy.
    """
    sun = sun_of(series.look, series.site)
    bench = set_up(series, sun)
    share = bench.images.seen.mean(axis=1)
    whole = np.flatnonzero(share[:-1] > 0.6)
    today = day_of(bench, series, LAST, sun)
    lesson, answer = learn(bench, series, today)
    reading = read(bench, series, lesson, answer, today, np.r_[whole, len(share) - 1])
    x, past = float(reading.x[-1]), reading.x[:-1]
    drift = bench.drift
    murk = lesson.murk * np.maximum(drift / DRIFT_FROM, 1.0) ** DRIFT_POWER  # what the yard itself tells included
    views = sum(one.scene.orbit == series.look.scene.orbit for one in series.looks)
    stretch = NEW_VIEW_STRETCH if views < NEW_VIEW_LOOKS else 1.0
    base = _base(past[murk[whole] < CLEAR], series.yard.grid.gsd_m)
    calibration = _calibrate(bench, series, lesson, answer, base, murk)
    unlike = max((value for name, value in measures.items() if name.endswith("_sigma")), default=0.0)
    odd = float(np.exp(ODD_GROWTH * max(unlike - ODD_FROM, 0.0))) * stretch
    noise = _noise(answer, base, float(murk[-1]), float(share[-1]), odd, _power(series))
    beside = doubtful(reading.density[-1], bench.changed, bench.flank_seen, series.yard.beside)
    noise = replace(noise, floor=float(np.hypot(noise.floor, BESIDE_SHARE * beside * max(x, 0.0))))
    if calibration.known == 0:
        # Without known dates the past's own scatter may be trains or error; the interval must allow for error.
        scatter = PAST_SHARE * float(np.diff(np.quantile(past, [0.2, 0.8]))[0]) if past.size else 0.0
        noise = replace(noise, floor=float(np.hypot(noise.floor, scatter)))
    cars = np.maximum(reading.density[-1], 0.0)
    figures = measures | {
        "beside": beside, "flank_changed": float(bench.changed.mean()) if bench.changed.size else 0.0,
        "uncalibrated": x, "noise_floor": noise.floor, "per_car_variance": noise.per_car,
        "relative_noise": noise.relative, "zero": calibration.zero, "scale": calibration.scale,
        "stretch": calibration.stretch, "known_dates": float(calibration.known),
        "noise_unit": float(reading.unit[-1]), "typical": float(reading.typical[-1]),
        "response_20": float(np.interp(20, answer.level, answer.mean)), "sun_elevation_deg": sun[0],
        "same_view_looks": float(views), "murk": float(lesson.murk[-1]), "drift": float(drift[-1]),
        "wet": float(np.sqrt(bench.images.wet[-1])),
        "track_ndvi": track_greenness(series),
    }  # fmt: skip
    design, ridge = design_of(series)
    apron = apron_activity(
        series.apron, design, ridge, bench.mean_car, series.yard.grid.gsd_m, float(np.median(reading.typical))
    )
    usual = float(np.median(past)) if past.size else 0.0
    return Estimate(x, usual, noise, calibration, shift_px, apron, series.yard.track_share @ cars, figures)


def track_greenness(series: Series) -> float:
    """Return how green the track area grows: the median over its pixels of their own greenest tenth of looks, NDVI.

    Ballast stays below 0.3 and weeds between rails lift it little; where it is above 0.6 the pixels hold closed
    vegetation (Tucker 1979, doi 10.1016/0034-4257(79)90013-0), and no rail or car is what changes there.
    """
    if not {"red", "nir"} <= set(series.bands):
        return float("nan")
    red, nir = (series.values[:, series.bands.index(band)] for band in ("red", "nir"))
    index = (nir - red) / np.maximum(nir + red, 1e-3)
    seen = np.isfinite(index).sum(axis=0) >= GREEN_LOOKS
    if not seen.any():
        return float("nan")
    return float(np.median(np.nanquantile(index[:, seen], 0.9, axis=0)))


def _base(past: FloatArray, gsd_m: float) -> float:
    """Return the noise of an empty yard, railcars, from the scatter of the emptier part of the history.

    Share and range were measured at 10 m. A car fills less of a coarser pixel: both grow with the root of its side.
    """
    coarse = float(np.sqrt(max(gsd_m / MEASURED_GSD_M, 1.0)))
    least, most = (coarse * bound for bound in FLOOR_RANGE)
    if past.size < 8:
        return most
    low, high = np.quantile(past, [0.1, 0.4])
    # A Gaussian's quantiles lie 1.03 sigma apart.
    return float(np.clip(coarse * FLOOR_SHARE * (high - low) / 1.03, least, most))


def _power(series: Series) -> float:
    """Return how fast an empty yard's noise grows with the murk."""
    return MURK_POWER if series.yard.grid.gsd_m < 2.0 * MEASURED_GSD_M else MURK_POWER_COARSE


def _noise(answer: Response, base: float, murk: float, share: float, stretch: float, power: float) -> Noise:
    """Return the noise of a look: larger where the day is murky or unlike its past, or partly hidden."""
    floor = base * max(murk, 1.0) ** power * stretch
    own = max(RELATIVE_SHARE * answer.relative, RELATIVE_FLOOR) * max(murk, 1.0) ** RELATIVE_MURK
    relative = float(np.hypot(own, 1.0 - share)) * stretch
    return Noise(floor, answer.per_car * max(murk, 1.0) ** (2.0 * RELATIVE_MURK), relative)


def _calibrate(
    bench: Bench, series: Series, lesson: Lesson, mine: Response, base: float, murk: FloatArray
) -> Calibration:
    """Learn scale and zero from the known dates, each under its own sun and on its own ground."""
    share = bench.images.seen.mean(axis=1)
    groups: dict[tuple[int, ...], list[int]] = {}
    wet = np.digitize(bench.images.wet * float((bench.wetting**2).sum(axis=0).mean()), WET_CLASSES)
    for place in sorted(series.known):
        if share[place] >= 0.6:
            key = (*_group(sun_of(series.looks[place], series.site)), int(wet[place]))
            groups.setdefault(key, []).append(place)
    x, number, sd, noise = [], [], [], []
    for _, places in sorted(groups.items()):
        then = day_of(bench, series, np.array(places))
        answer = respond(bench, series, lesson, mine, then)
        reading = read(bench, series, lesson, answer, then, np.array(places))
        for index, place in enumerate(places):
            x.append(float(reading.x[index]))
            number.append(series.known[place].railcars)
            sd.append(series.known[place].sd)
            noise.append(_noise(answer, base, float(murk[place]), float(share[place]), 1.0, _power(series)))
    return calibrate(np.array(x), np.array(number), np.array(sd), noise)


def _group(sun: tuple[float, float]) -> tuple[int, int]:
    """Return the group of suns whose known dates are read together."""
    shadow = -np.log(np.tan(np.deg2rad(np.clip(sun[0], SUN_MIN_DEG, 89.0))))
    return round(float(shadow) / GROUP_SHADOW), round(sun[1] / GROUP_DEG)
