"""From registered, normalised pixels to an uncalibrated number of railcars and its noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from pipeline.counting.occupancy.apron import apron_activity
from pipeline.counting.occupancy.baseline import (
    RIDGE_FACTOR,
    RIDGE_HALF,
    RIDGE_MEAN,
    RIDGE_ORBIT,
    RIDGE_SEASON,
    PixelModel,
    fit_pixels,
)
from pipeline.counting.occupancy.calibrate import Calibration, Noise, calibrate
from pipeline.counting.occupancy.geometry import Yard
from pipeline.counting.occupancy.normalise import FACTORS, Normalised
from pipeline.counting.occupancy.register import Reference
from pipeline.counting.occupancy.response import Rendered, Response, changes_of, fit_response, rendered_cars, sun_cell
from pipeline.counting.occupancy.spatial import ModeFit, prior_of_modes, remove_modes, spatial_terms
from pipeline.counting.occupancy.target import band_weights, car_response, channels, residual_covariance
from pipeline.model import KnownCount, Look, Site
from pipeline.simulate.sun import sun_position

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

POOL = 6  # emptiest history looks, into which simulated cars are stood
HOST_SHARE = 0.7  # of the history, from the emptiest on, that may bear simulated cars
POOL_SKIP = 0.02  # of the history: the very emptiest may be faulty
FILLED = 0.25  # share of light lost from which a pixel of a simulated car counts as filled
SPARSE_LEVELS = (10, 40, 120, 320)  # enough for the suns of known dates
ZERO_MAX = 4.0  # railcars: the emptiest looks are believed to hold no more than noise looks like
FLOOR_CARS = 3.0  # noise of an empty yard, railcars
RELATIVE_FLOOR = 0.17
ODD_FROM, ODD_GROWTH = 1.5, 0.45  # robust sigmas of the ground off the yard from which the noise grows, and how fast
PAST_SHARE = 0.4  # of the middle 60 % of the history's numbers, taken as noise where no date is known
NEW_VIEW_LOOKS = 4  # fewer looks from the same orbit: the interval is widened
NEW_VIEW_STRETCH = 1.5


@dataclass(frozen=True, eq=False)
class Series:
    """A look with its comparable history, L looks in all, the last to be counted."""

    look: Look
    looks: tuple[Look, ...]  # L - 1
    site: Site
    yard: Yard
    bands: tuple[str, ...]
    values: FloatArray  # (L, B, N) normalised reflectance of the yard, NaN where hidden or not used
    norm: Normalised
    reference: Reference
    known: Mapping[int, KnownCount]  # by index into `looks`
    apron: FloatArray  # (L, B, A) normalised reflectance of the apron, NaN where hidden


@dataclass(frozen=True, eq=False)
class Estimate:
    """An uncalibrated number and all that is needed to state it."""

    x: float  # railcars before scale and zero
    noise: Noise
    calibration: Calibration
    shift_px: tuple[float, float] | None
    apron: float | None
    by_track: FloatArray  # (T,) shares, not normalised
    measures: dict[str, float]


@dataclass(frozen=True, eq=False)
class _Bench:
    """Filter images of a series with everything that is needed to sum them."""

    images: FloatArray  # (L, C, N)
    seen: BoolArray  # (L, N)
    ground: FloatArray  # (B, N) empty ground of the day
    weights: FloatArray  # (C, B)
    mean_car: FloatArray  # (B,) direction of the mean car
    one_sided: float
    terms: FloatArray  # (C, N, K)
    sigma: FloatArray  # (C, N)
    prior: FloatArray  # (C, K)


def sun_of(look: Look, site: Site) -> tuple[float, float]:
    """Return the sun's elevation and azimuth, from the catalogue or else from the almanac, degrees."""
    scene = look.scene
    if scene.sun_elevation_deg is not None and scene.sun_azimuth_deg is not None:
        return scene.sun_elevation_deg, scene.sun_azimuth_deg
    middle = site.area.centroid
    lon, lat = _to_lonlat(site.crs).transform(middle.x, middle.y)
    return sun_position(scene.observed_at, lon, lat)


@lru_cache(maxsize=8)
def _to_lonlat(crs: str) -> Transformer:
    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)


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
    bench = _bench(series, sun)
    own = np.full(len(bench.images), _typical(bench, series, sun))
    fits = _sum(bench, bench.images, bench.seen, own, series)
    pool = _pool(fits, bench.seen)
    answer = _respond(bench, series, sun, pool, None)
    share = bench.seen.mean(axis=1)
    x = float(answer.railcars(fits.sums[-1:] / max(float(share[-1]), 0.1))[0])
    views = sum(one.scene.orbit == series.look.scene.orbit for one in series.looks)
    stretch = NEW_VIEW_STRETCH if views < NEW_VIEW_LOOKS else 1.0
    calibration = _calibrate(bench, series, sun, pool, answer)
    unlike = max((value for name, value in measures.items() if name.endswith("_sigma")), default=0.0)
    noise = _noise(answer, float(fits.unit[-1]), float(share[-1]), stretch, unlike)
    if calibration.known == 0:
        # Without known dates the past's own scatter may be trains or error; the interval must allow for error.
        whole = share[:-1] > 0.6
        past = answer.railcars(fits.sums[:-1][whole] / share[:-1][whole, None])
        noise = replace(
            noise, floor=float(np.hypot(noise.floor, PAST_SHARE * np.diff(np.quantile(past, [0.2, 0.8]))[0]))
        )
    shares = series.yard.track_share @ fits.filled[-1]
    figures = measures | {
        "uncalibrated": x, "noise_floor": noise.floor, "per_car_variance": noise.per_car,
        "relative_noise": noise.relative, "zero": calibration.zero, "scale": calibration.scale,
        "stretch": calibration.stretch, "known_dates": float(calibration.known),
        "filled_pixels": float(fits.sums[-1, 0]), "noise_unit": float(fits.unit[-1]),
        "response_20": float(np.interp(20, answer.level, answer.mean[:, 0])), "sun_elevation_deg": sun[0],
        "same_view_looks": float(views), "one_sided": bench.one_sided, "typical": float(own[0]),
    }  # fmt: skip
    design, ridge = _design(series)
    per_car = float(answer.mean[1, 0] / answer.level[1])
    apron = apron_activity(series.apron, design, ridge, bench.mean_car, per_car, float(own[0]))
    return Estimate(x, noise, calibration, shift_px, apron, shares, figures)


def _bench(series: Series, sun: tuple[float, float]) -> _Bench:
    """Fit the pixel baselines and turn residuals into filter images."""
    bands, yard = series.bands, series.yard
    middle = _typical_ground(series.values[:-1])
    response = car_response(middle, bands, yard.grid.gsd_m, sun, yard.heading_rad).mean(axis=1)
    design, ridge = _design(series)
    model = fit_pixels(series.values, design, ridge, band_weights(response, np.eye(len(bands)) * 0.008**2))
    response = car_response(model.predicted, bands, yard.grid.gsd_m, sun, yard.heading_rad).mean(axis=1)
    covariance = residual_covariance(model.residual[:-1], model.weight[:-1])
    cars = [one for one in _cars(series, sun) if one.railcars <= 80]
    filled = [
        change[:, one.lost[-1] > FILLED]
        for one, change in zip(cars, changes_of(cars, model.predicted, bands), strict=True)
    ]
    weights, one_sided = channels(np.concatenate(filled, axis=1), response, covariance)
    images = np.einsum("cb,lbn->lcn", weights, np.nan_to_num(model.residual))
    seen: BoolArray = np.asarray(np.isfinite(model.residual).all(axis=1))
    terms = spatial_terms(yard.axes, np.einsum("cb,jbn->cjn", weights, _mode_images(model, series)))
    sigma = np.stack([_pixel_noise(images[:-1, c], seen[:-1], model) for c in range(len(weights))])
    wide = remove_modes(images[:-1], seen[:-1], terms, yard.smooth, sigma, one_sided, np.ones(len(images) - 1))
    used = seen[:-1].any(axis=1)
    prior = prior_of_modes(wide.beta[used])
    return _Bench(images, seen, model.predicted, weights, weights[0], one_sided, terms, sigma, prior)


def _typical_ground(values: FloatArray) -> FloatArray:
    """Return the median over looks (B, N), NaN filled by the band's own median."""
    ordered = np.sort(values, axis=0)
    number = np.isfinite(values).sum(axis=0)
    middle = np.take_along_axis(ordered, (np.maximum(number - 1, 0) // 2)[None], axis=0)[0]
    level = np.nanmedian(middle, axis=1, keepdims=True)
    return np.asarray(np.where(np.isfinite(middle), middle, level))


def _cars(series: Series, sun: tuple[float, float]) -> tuple[Rendered, ...]:
    day = series.look.scene.observed_at.astimezone(UTC).date()
    return rendered_cars(series.yard, series.site.tracks_on(day), sun)


def _typical(bench: _Bench, series: Series, sun: tuple[float, float]) -> float:
    """Return the amplitude of a pixel that a train on one track fills, noise units."""
    cars = [one for one in _cars(series, sun) if one.railcars <= 40]
    images = np.einsum("cb,qbn->qcn", bench.weights, changes_of(cars, bench.ground, series.bands))
    parts = [np.sqrt((i[1:] ** 2).sum(axis=0))[one.lost[-1] > FILLED] for i, one in zip(images, cars, strict=True)]
    size = np.concatenate(parts)
    return max(float(np.median(size)), 1.5) if size.size else 5.0


def _sum(bench: _Bench, images: FloatArray, seen: BoolArray, typical: FloatArray, series: Series) -> ModeFit:
    return remove_modes(
        images, seen, bench.terms, series.yard.smooth, bench.sigma, bench.one_sided, typical, bench.prior
    )


def _pool(fits: ModeFit, seen: BoolArray) -> NDArray[np.intp]:
    """Return wholly visible history looks in pairs: the emptiest, and ordinary ones to stand cars into.

    The emptiest tell the zero; they are also the least noisy, so that cars are stood into looks from all over the
    emptier part of the history: the answer is that of ordinary noise.
    """
    share = seen[:-1].mean(axis=1)
    whole = np.flatnonzero(share > 0.9 * share.max())
    order = whole[np.argsort(fits.sums[whole, 1], kind="stable")]
    skip = int(POOL_SKIP * len(order))
    empty = order[skip : skip + POOL]
    spread = np.linspace(0, HOST_SHARE * (len(order) - 1), POOL).round().astype(np.intp)
    return np.stack([np.resize(empty, POOL), order[spread]])


def _respond(
    bench: _Bench, series: Series, sun: tuple[float, float], pool: NDArray[np.intp], levels: tuple[int, ...] | None
) -> Response:
    """Stand known numbers of cars into the emptiest history looks and see by how much their sums rise."""
    cars = [one for one in _cars(series, sun) if levels is None or one.railcars in levels]
    number = np.array([one.railcars for one in cars], dtype=np.float64)
    added = np.einsum("cb,qbn->qcn", bench.weights, changes_of(cars, bench.ground, series.bands))
    host = pool[1][np.arange(len(number)) % POOL]
    bare = pool.ravel()
    images = np.concatenate([bench.images[bare], bench.images[host] + added])
    seen = np.concatenate([bench.seen[bare], bench.seen[host]])
    typical = np.full(len(images), _typical(bench, series, sun))
    fits = _sum(bench, images, seen, typical, series)
    empty, before = fits.sums[:POOL], fits.sums[POOL : 2 * POOL]
    rise = fits.sums[2 * POOL :] - before[np.arange(len(number)) % POOL]
    answer = fit_response(number, rise, np.zeros(rise.shape[1]))
    limit = answer.mean[1] / answer.level[1] * ZERO_MAX
    return fit_response(number, rise, np.minimum(np.median(empty, axis=0), limit))


def _noise(answer: Response, unit: float, share: float, stretch: float, unlike: float = 0.0) -> Noise:
    """Return the noise of a look: larger where image or ground are unlike their past, or partly hidden."""
    odd = float(np.exp(ODD_GROWTH * max(unlike - ODD_FROM, 0.0)))
    floor = FLOOR_CARS * max(unit, 1.0) ** 2 * stretch * odd
    relative = float(np.hypot(max(answer.relative, RELATIVE_FLOOR), 1.0 - share)) * stretch
    return Noise(floor, answer.per_car, relative)


def _calibrate(
    bench: _Bench, series: Series, sun: tuple[float, float], pool: NDArray[np.intp], answer: Response
) -> Calibration:
    """Learn scale and zero from the known dates, each under its own sun."""
    x, number, sd, noise = [], [], [], []
    answers = {sun_cell(sun): (answer, _typical(bench, series, sun))}
    for place, entry in sorted(series.known.items()):
        share = float(bench.seen[place].mean())
        if share < 0.6:
            continue
        then = sun_of(series.looks[place], series.site)
        cell = sun_cell(then)
        if cell not in answers:
            answers[cell] = _respond(bench, series, then, pool, SPARSE_LEVELS), _typical(bench, series, then)
        its, typical = answers[cell]
        one = slice(place, place + 1)
        fit = _sum(bench, bench.images[one], bench.seen[one], np.array([typical]), series)
        x.append(float(its.railcars(fit.sums / share)[0]))
        number.append(entry.railcars)
        sd.append(entry.sd)
        noise.append(_noise(its, float(fit.unit[0]), share, 1.0))
    return calibrate(np.array(x), np.array(number), np.array(sd), noise)


def _design(series: Series) -> tuple[FloatArray, FloatArray]:
    """Return regressors (L, P) and ridge penalties: season, patterns of the controls, the other orbit's view."""
    columns, ridge = [series.norm.season], [RIDGE_MEAN, RIDGE_SEASON, RIDGE_SEASON, RIDGE_HALF, RIDGE_HALF]
    columns.append(series.norm.factors)
    ridge += [RIDGE_FACTOR] * FACTORS
    orbits = [one.scene.orbit for one in (*series.looks, series.look)]
    if len(set(orbits)) > 1:
        columns.append(np.array([[1.0 if orbit == orbits[-1] else -1.0] for orbit in orbits]))
        ridge.append(RIDGE_ORBIT)
    return np.hstack(columns), np.array(ridge)


def _mode_images(model: PixelModel, series: Series) -> FloatArray:
    """Return what errors of gain, offset, season, moisture and registration look like, (J, B, N)."""
    out = [model.predicted]
    out += [model.coefficients[:, place].T for place in range(1, model.coefficients.shape[1])]
    gradient = series.reference.gradient.reshape(2, len(series.bands), -1)[:, :, series.yard.index]
    return np.array([*out, *gradient.astype(np.float64)])


def _pixel_noise(images: FloatArray, seen: BoolArray, model: PixelModel) -> FloatArray:
    """Return the noise of each pixel's filter value from its empty looks."""
    masked = np.where(seen & (model.weight[:-1] > 0.3), images**2, np.nan)
    number = np.isfinite(masked).sum(axis=0)
    limit = np.nanquantile(masked, 0.98) if (number > 0).any() else 1.0
    size = np.sqrt(np.nansum(np.minimum(masked, limit), axis=0) / np.maximum(number, 1))
    typical = float(np.median(size[number > 2])) if (number > 2).any() else 1.0
    size = np.where(number > 2, size, typical)
    return np.asarray(np.clip(size, 0.6 * typical, 4 * typical) * np.sqrt(model.inflation))
