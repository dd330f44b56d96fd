"""The measuring bench of a look: filter images of its series, and the filter for railcars of a day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from pipeline.counting.occupancy.ballast import ballast_ground
from pipeline.counting.occupancy.baseline import (
    RIDGE_FACTOR,
    RIDGE_HALF,
    RIDGE_MEAN,
    RIDGE_ORBIT,
    RIDGE_SEASON,
    PixelModel,
    fit_pixels,
)
from pipeline.counting.occupancy.flank import changed_beside
from pipeline.counting.occupancy.geometry import Yard
from pipeline.counting.occupancy.ground import WETTING, learn_wetting, moments, wetness_of
from pipeline.counting.occupancy.normalise import FACTORS, Normalised
from pipeline.counting.occupancy.register import Reference
from pipeline.counting.occupancy.response import (
    Rendered,
    changes_of,
    rendered_cars,
)
from pipeline.counting.occupancy.spatial import (
    Filter,
    Images,
    outside_covariance,
    prior_of_modes,
    spatial_terms,
    whiten,
)
from pipeline.counting.occupancy.target import BAND_INDEX, band_weights, car_response, residual_covariance
from pipeline.model import KnownCount, Look, Site
from pipeline.simulate.sun import sun_position

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

FILLED = 0.25  # share of light lost from which a pixel of a simulated car counts as filled
CHANGES_MAX = 240
CHANGED_REACH, CHANGED_DAYS = 240, 60  # age of the looks that tell what has changed for good, and their least span
CHANGED_LOOKS, CHANGED_LEAST = 8, 4  # the newest so many of them, and how many there must be
CHANGED_MOST = 0.4  # share of the yard
CHANGED_SIZE, CHANGED_SHARE = 6.0, 0.75  # noise units of a change; share of the looks that must show it
LADEN_CARS, LADEN_REST = 5.0, 16  # known looks with so many cars shape no baseline that has so many others
WETTING_ROUNDS = 2
LEVEL_RANGE = (-0.5, 0.2)  # by which wet or dry ground may differ from what its day promises, relative
LAST = np.array([-1])


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
    control: FloatArray  # (L, B, M) normalised reflectance of ground near the yard, NaN where hidden
    flank: FloatArray  # (L, B, F) normalised reflectance of ground close beside the tracks, NaN where hidden


@dataclass(frozen=True, eq=False)
class Bench:
    """Filter images of a series with everything that is needed to read them."""

    images: Images  # L looks
    ground: FloatArray  # (L, B, N) empty ground of each look's day
    weights: FloatArray  # (B, B) turns reflectance into channels
    sigma: FloatArray  # (B, N) noise of each pixel in each channel
    mean_car: FloatArray  # (B,) direction of the mean car in reflectance, for the apron
    prior: FloatArray  # (B, K)
    terms: FloatArray  # (B, N, K)
    wetting: FloatArray  # (B, N) what a relative darkening of 1 by water changes in each channel
    drift: FloatArray  # (L,) how far what is common to the yard lies from its past, robust sigmas
    changed: BoolArray  # (F,) ground beside the tracks that the look to be counted shows unlike its past
    flank_seen: BoolArray  # (F,)


@dataclass(frozen=True, eq=False)
class Day:
    """What decides how railcars show: the mean of one or more looks of a series."""

    sun: tuple[float, float]  # elevation and azimuth, degrees
    ground: FloatArray  # (B, N) of the empty yard, dry or wet as it was
    places: NDArray[np.intp]  # the looks


def sun_of(look: Look, site: Site) -> tuple[float, float]:
    """Return the sun's elevation and azimuth, from the catalogue or else from the almanac, degrees."""
    scene = look.scene
    if scene.sun_elevation_deg is not None and scene.sun_azimuth_deg is not None:
        return scene.sun_elevation_deg, scene.sun_azimuth_deg
    middle = site.area.centroid
    lon, lat = _to_lonlat(site.crs).transform(middle.x, middle.y)
    return sun_position(scene.observed_at, lon, lat)


def day_of(bench: Bench, series: Series, places: NDArray[np.intp], sun: tuple[float, float] | None = None) -> Day:
    """Return the day of some looks, under their mean sun where none is given; -1 is the look to be counted."""
    places = np.asarray(places, dtype=np.intp) % len(bench.ground)
    if sun is None:
        suns = np.array([sun_of((*series.looks, series.look)[place], series.site) for place in places])
        sun = (float(suns[:, 0].mean()), float(suns[:, 1].mean()))
    return Day(sun, bench.ground[places].mean(axis=0), places)


@lru_cache(maxsize=8)
def _to_lonlat(crs: str) -> Transformer:
    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)


def design_of(series: Series) -> tuple[FloatArray, FloatArray]:
    """Return regressors (L, P) and ridge penalties: season, patterns of the controls, the other orbit's view."""
    columns, ridge = [series.norm.season], [RIDGE_MEAN, RIDGE_SEASON, RIDGE_SEASON, RIDGE_HALF, RIDGE_HALF]
    columns.append(series.norm.factors)
    ridge += [RIDGE_FACTOR] * FACTORS
    orbits = [one.scene.orbit for one in (*series.looks, series.look)]
    if len(set(orbits)) > 1:
        columns.append(np.array([[1.0 if orbit == orbits[-1] else -1.0] for orbit in orbits]))
        ridge.append(RIDGE_ORBIT)
    return np.hstack(columns), np.array(ridge)


def set_up(series: Series, sun: tuple[float, float]) -> Bench:
    """Fit the pixel baselines and turn residuals into filter images."""
    bands, yard = series.bands, series.yard
    middle = _typical_ground(series.values[:-1])
    response = car_response(middle, bands, yard.grid.gsd_m, sun, yard.heading_rad).mean(axis=1)
    design, ridge = design_of(series)
    direction = band_weights(response, np.eye(len(bands)) * 0.008**2)
    model = fit_pixels(series.values, design, ridge, direction, _shaping(series))
    covariance = residual_covariance(model.residual[:-1], model.weight[:-1])
    weights = np.linalg.inv(np.linalg.cholesky(covariance))
    values = np.einsum("cb,lbn->lcn", weights, np.nan_to_num(model.residual))
    seen: BoolArray = np.asarray(np.isfinite(model.residual).all(axis=1))
    sigma = np.stack([_pixel_noise(values[:-1, c], seen[:-1], model) for c in range(len(weights))])
    terms = spatial_terms(yard.axes, np.einsum("cb,jbn->cjn", weights, _mode_images(model, series)))
    terms = terms / sigma[..., None]
    values = values / sigma
    changed = _changed(values[:-1], seen[:-1], series)
    if changed.mean() < CHANGED_MOST:  # more is a yard rebuilt or never at rest: it must not vanish
        seen[-1] &= ~changed
    none = np.zeros(len(values))
    controls, shown = _off_yard(series.control, design, ridge, direction, weights)
    outside = outside_covariance(controls, shown)
    middle = np.median(np.where(shown[:, None], controls, 0.0), axis=2)
    beside, beside_seen = _off_yard(series.flank, design, ridge, direction, weights)
    changed_flank = changed_beside(beside, beside_seen, outside, middle)
    images = Images(values, seen, outside, none)
    free = np.full((len(weights), terms.shape[2]), 30.0)
    bench = Bench(
        images, model.fitted, weights, sigma, direction, free, terms, np.zeros_like(sigma), none, changed_flank,
        beside_seen[-1],
    )  # fmt: skip
    used = np.flatnonzero(seen[:-1].mean(axis=1) > 0.5)
    day = day_of(bench, series, LAST, sun)
    first = whiten(bench.images.pick(used), filter_of(bench, series, day))
    return _with_wetness(replace(bench, prior=prior_of_modes(first.beta)), series, day, np.r_[used, len(seen) - 1])


def _with_wetness(bench: Bench, series: Series, day: Day, shown: NDArray[np.intp]) -> Bench:
    """Return the bench with the wet patches of the looks `shown`, the last of which is to be counted."""
    ground = bench.ground[-1]
    back = np.linalg.inv(bench.weights)
    believed = np.array(WETTING)[[BAND_INDEX[name] for name in series.bands]]

    def relative(values: FloatArray) -> FloatArray:
        return np.asarray(np.einsum("bc,qcn->qbn", back, values * bench.sigma, optimize=True) / ground)

    cars = relative(added(bench, series, cars_of(series, day.sun), ground))
    filled = cars.transpose(1, 0, 2).reshape(len(ground), -1)
    filled = filled[:, np.abs(filled).max(axis=0) > FILLED / 2]
    drift, modes = np.zeros(len(bench.ground)), np.zeros((0, 0, 0))
    for turn in range(WETTING_ROUNDS):  # patches known for such no longer pull at what is common to the yard
        images = bench.images.pick(shown)
        white = whiten(images, filter_of(bench, series, day))
        if turn == 0:
            modes, drift[shown] = white.beta, drift_of(white.beta)
        moment = moments(relative(white.rest), images.seen)
        wetting = learn_wetting(moment[:-1], drift[shown[:-1]], believed)
        wet = np.zeros(len(bench.ground))
        wet[shown] = wetness_of(moment, drift[shown], wetting, filled @ filled.T / max(filled.shape[1], 1))
        template = np.einsum("cb,bn->cn", bench.weights, wetting.direction[:, None] * ground) / bench.sigma
        bench = replace(bench, images=replace(bench.images, wet=wet), wetting=template, drift=drift)
    # Cars on wet ground hide less light.
    typical = template.mean(axis=1)
    level = (modes[:, :, 0] - np.median(modes[:-1, :, 0], axis=0)) @ typical / max(float(typical @ typical), 1e-12)
    change = np.zeros((len(bench.ground), len(ground), 1))
    change[shown] = np.clip(level[:, None] * wetting.direction, *LEVEL_RANGE)[..., None]
    bench = replace(bench, ground=bench.ground * (1.0 + change))
    return bench


def drift_of(modes: FloatArray) -> FloatArray:
    """Return how far what is common to a yard lies from its past in each look (Q,), robust sigmas.

    Rain darkens all ballast, and unevenly, so that its patches stand out like trains; the ground beside the yard may
    show nothing of it. Trains move this figure little: they have no say in what is common.

    Parameters
    ----------
    modes : array of shape (Q, C, K)
        The last look is being judged and no part of the past; the first of the K modes is the constant.
    """
    level = modes[:, :, 0]
    middle = np.median(level[:-1], axis=0)
    spread = np.maximum(1.4826 * np.median(np.abs(level[:-1] - middle), axis=0), 0.05)
    return np.asarray(np.sqrt((((level - middle) / spread) ** 2).mean(axis=1)))


def _shaping(series: Series) -> FloatArray:
    """Return the say (L,) of each look in the baseline.

    Looks known to bear cars have none, as long as enough others are left: they then are read like a new look.
    """
    say = np.ones(len(series.looks) + 1)
    laden = [place for place, entry in series.known.items() if entry.railcars >= LADEN_CARS]
    seen = np.isfinite(series.values[:-1, 0]).any(axis=1)
    if seen.sum() - len(laden) >= max(LADEN_REST, 0.5 * seen.sum()):
        say[laden] = 0.0
    return say


def _changed(values: FloatArray, seen: BoolArray, series: Series) -> BoolArray:
    """Return pixels (N,) that nearly all newest looks show unlike the baseline: their ground has changed for good.

    Felled trees and new roofs stay, trains come and go. Such pixels tell nothing until the baseline has followed;
    the tracks that cars occupied for months are lost with them.
    """
    age = np.array([(series.look.scene.observed_at - one.scene.observed_at).days for one in series.looks])
    recent = np.flatnonzero((age <= CHANGED_REACH) & (seen.mean(axis=1) > 0.6))[-CHANGED_LOOKS:]
    if len(recent) < CHANGED_LEAST or age[recent[0]] - age[recent[-1]] < CHANGED_DAYS:
        return np.zeros(values.shape[2], dtype=np.bool_)
    apart = (np.sqrt((values[recent] ** 2).sum(axis=1)) > CHANGED_SIZE) & seen[recent]
    return np.asarray(apart.sum(axis=0) >= CHANGED_SHARE * np.maximum(seen[recent].sum(axis=0), CHANGED_LEAST))


def cars_of(series: Series, sun: tuple[float, float]) -> tuple[Rendered, ...]:
    """Return the simulated cars of the series' yard under a sun."""
    day = series.look.scene.observed_at.astimezone(UTC).date()
    return rendered_cars(series.yard, series.site.tracks_on(day), sun)


def added(bench: Bench, series: Series, cars: tuple[Rendered, ...], ground: FloatArray) -> FloatArray:
    """Return what cars add to filter images, (Q, C, N), in a yard whose empty pixels show the ground (B, N)."""
    change = changes_of(cars, ballast_ground(ground, series.yard, series.bands), series.bands)
    return np.asarray(np.einsum("cb,qbn->qcn", bench.weights, change) / bench.sigma)


def filter_of(bench: Bench, series: Series, day: Day) -> Filter:
    """Return the filter for railcars on a day."""
    cars = tuple(one for one in cars_of(series, day.sun) if one.railcars <= 80)
    images = added(bench, series, cars, day.ground)
    single = np.concatenate([i[:, one.lost[-1] > FILLED] for i, one in zip(images, cars, strict=True)], axis=1)
    if single.shape[1] == 0:
        single = images.transpose(1, 0, 2).reshape(images.shape[1], -1)
    single = single[:, :: max(single.shape[1] // CHANGES_MAX, 1)]
    mean = single.mean(axis=1)
    size = np.linalg.norm(mean)
    share = float(((mean / max(size, 1e-9)) @ single).mean() ** 2 / max(float((single**2).sum(axis=0).mean()), 1e-9))
    return Filter(bench.terms, bench.prior, mean, single, float(np.clip(share, 0.0, 1.0)), bench.wetting)


def _off_yard(
    ground: FloatArray, design: FloatArray, ridge: FloatArray, direction: FloatArray, weights: FloatArray
) -> tuple[FloatArray, BoolArray]:
    """Return what looks show of ground off the tracks (L, C, M), each pixel in its own noise, and what is seen."""
    model = fit_pixels(ground, design, ridge, direction)
    values = np.einsum("cb,lbn->lcn", weights, np.nan_to_num(model.residual))
    seen: BoolArray = np.asarray(np.isfinite(model.residual).all(axis=1))
    sigma = np.stack([_pixel_noise(values[:-1, c], seen[:-1], model) for c in range(len(weights))])
    return values / sigma, seen


def _typical_ground(values: FloatArray) -> FloatArray:
    """Return the median over looks (B, N), NaN filled by the band's own median."""
    ordered = np.sort(values, axis=0)
    number = np.isfinite(values).sum(axis=0)
    middle = np.take_along_axis(ordered, (np.maximum(number - 1, 0) // 2)[None], axis=0)[0]
    level = np.nanmedian(middle, axis=1, keepdims=True)
    return np.asarray(np.where(np.isfinite(middle), middle, level))


def _mode_images(model: PixelModel, series: Series) -> FloatArray:
    """Return what errors of gain, offset, season, moisture and registration look like, (J, B, N)."""
    out = [model.fitted[-1]]
    out += [model.coefficients[:, place].T for place in range(1, model.coefficients.shape[1])]
    gradient = series.reference.gradient.reshape(2, len(series.bands), -1)[:, :, series.yard.index]
    return np.array([*out, *gradient.astype(np.float64)])


def _pixel_noise(images: FloatArray, seen: BoolArray, model: PixelModel) -> FloatArray:
    """Return the noise (N,) of each pixel over its ordinary empty looks."""
    size = np.sort(np.where(seen & (model.weight[:-1] > 0.3), np.abs(images), np.inf), axis=0)
    number = np.isfinite(size).sum(axis=0)
    middle = np.take_along_axis(size, (np.maximum(number - 1, 0) // 2)[None], axis=0)[0]
    good = number > 4
    typical = float(np.median(middle[good])) if good.any() else 0.6745
    spread = np.where(good, middle, typical)
    return np.asarray(np.clip(spread, 0.5 * typical, 4 * typical) / 0.6745)
