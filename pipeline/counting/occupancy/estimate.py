"""The line from registered pixels to an uncalibrated number: gates, baseline, filter, spatial modes, response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from pipeline.config import CountingSettings, QualitySettings
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
from pipeline.counting.occupancy.gates import FIGURES, HISTORY_SIGMA, against_history, judge, snow_index
from pipeline.counting.occupancy.geometry import Yard
from pipeline.counting.occupancy.history import day_of_year
from pipeline.counting.occupancy.normalise import FACTORS, Normalised, normalise
from pipeline.counting.occupancy.register import Reference, Registered, reference_for, register
from pipeline.counting.occupancy.response import Response, fit_response, images_of, rendered_cars
from pipeline.counting.occupancy.spatial import ModeFit, remove_modes, spatial_terms
from pipeline.counting.occupancy.target import band_weights, car_response, residual_covariance, usable_bands
from pipeline.model import KnownCount, Look, Site
from pipeline.simulate.sun import sun_position

FloatArray = NDArray[np.float64]

POOL = 6  # history looks that simulated cars are stood into
FLOOR_CARS = 1.5  # least noise of an empty yard
NOISE_SHARE = 1.3  # of the negative sum, as a measure of the positive sum's noise
RELATIVE_FLOOR = 0.08
NEW_VIEW_LOOKS = 4  # fewer looks from the same orbit: the interval is widened
NEW_VIEW_STRETCH = 1.5


@dataclass(frozen=True)
class Refused:
    """Why there is no number."""

    flag: str
    detail: str
    measures: dict[str, float]


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


def sun_of(look: Look, site: Site) -> tuple[float, float]:
    """Return the sun's elevation and azimuth, from the catalogue or else from the almanac, degrees."""
    scene = look.scene
    if scene.sun_elevation_deg is not None and scene.sun_azimuth_deg is not None:
        return scene.sun_elevation_deg, scene.sun_azimuth_deg
    middle = site.area.centroid
    lon, lat = Transformer.from_crs(site.crs, "EPSG:4326", always_xy=True).transform(middle.x, middle.y)
    return sun_position(scene.observed_at, lon, lat)


def estimate(
    look: Look,
    past: Sequence[Look],
    site: Site,
    yard: Yard,
    known: Mapping[int, KnownCount],
    settings: CountingSettings,
    quality: QualitySettings,
) -> Estimate | Refused:
    """Estimate the railcars of a look against its chosen past.

    Parameters
    ----------
    look : Look
    past : sequence of Look
        At least `history_min_looks`, oldest first.
    site : Site
    yard : Yard
        Of the look's grid and day.
    known : mapping of int to KnownCount
        Known counts by index into `past`.
    settings : CountingSettings
    quality : QualitySettings
    """
    bands = usable_bands(look.bands)
    name = look.scene.scene_id
    if len(bands) < 2:
        return Refused("SAMPLING_UNSUITED", f"{name} has too few optical bands for an occupancy estimate", {})
    reference = reference_for(past, yard, bands)
    mine = register(look, reference, yard, bands)
    measures: dict[str, float] = {"history_looks": float(len(past)), "bands": float(len(bands))}
    refused = _gate_pixels(look, mine, bands, quality, measures)
    if refused is not None:
        return refused
    others = [register(one, reference, yard, bands) for one in past]
    keep = [
        number
        for number, one in enumerate(others)
        if one.shift_px is None or float(np.hypot(*one.shift_px)) <= quality.max_shift_px
    ]
    looks = [past[number] for number in keep]
    stack = [*(others[number] for number in keep), mine]
    days = np.array([day_of_year(one) for one in (*looks, look)])
    weights = np.ones(len(stack))
    weights[-1] = 0.0
    off = np.stack([one.off for one in stack]).astype(np.float64)
    norm = normalise(off, yard.ring, days, weights)
    odd = against_history(norm.unlike)[:-1].max(axis=1) > HISTORY_SIGMA
    if odd.any() and (~odd).sum() >= settings.history_min_looks:
        weights[:-1][odd] = 0.0
        norm = normalise(off, yard.ring, days, weights)
    used = weights[:-1] > 0
    if used.sum() < settings.history_min_looks:
        detail = f"only {int(used.sum())} earlier looks behind {name} can be compared with it"
        return Refused("HISTORY_SHORT", detail, measures)
    unlike = judge(np.vstack([norm.unlike[:-1][used], norm.unlike[-1:]]))
    measures |= {f"{figure}_sigma": unlike.sigma[figure] for figure in FIGURES}
    if norm.used[-1] > 0.05 and unlike.worst[1] > quality.max_residual_sigma:
        detail = (
            f"the ground off the yard in {name} lies {unlike.worst[1]:.1f} robust sigmas from its own past "
            f"({unlike.worst[0]}; limit {quality.max_residual_sigma:g}): haze, shadow or change"
        )
        return Refused("OFF_YARD_RESIDUAL", detail, measures)
    return _count_yard(look, looks, site, yard, known, keep, stack, norm, weights, bands, reference, measures)


def _gate_pixels(
    look: Look, mine: Registered, bands: tuple[str, ...], quality: QualitySettings, measures: dict[str, float]
) -> Refused | None:
    """Refuse what the look's own pixels forbid: a large shift, nothing visible, snow."""
    name = look.scene.scene_id
    if mine.shift_px is not None:
        measures["shift_col_px"], measures["shift_row_px"] = mine.shift_px
        size = float(np.hypot(*mine.shift_px))
        if size > quality.max_shift_px:
            detail = (
                f"{name} is shifted by {size:.1f} pixels against the reference; the limit is {quality.max_shift_px:g}"
            )
            return Refused("SHIFT_LARGE", detail, measures)
    visible = float(np.isfinite(mine.yard[0]).mean())
    measures["visible"] = visible
    if visible < 0.2:
        return Refused("NO_DATA", f"{name} shows only {visible:.0%} of the track pixels", measures)
    measures["ndsi_available"] = float("green" in bands and "swir16" in bands)
    if measures["ndsi_available"]:
        index = snow_index(mine.yard[bands.index("green")], mine.yard[bands.index("swir16")])
        if np.isfinite(index):
            measures["ndsi_yard"] = index
            if index > quality.snow_ndsi:
                detail = f"{name} has a snow index of {index:.2f} on the tracks; the limit is {quality.snow_ndsi:g}"
                return Refused("SNOW", detail, measures)
    return None


def _count_yard(
    look: Look,
    looks: Sequence[Look],
    site: Site,
    yard: Yard,
    known: Mapping[int, KnownCount],
    keep: Sequence[int],
    stack: Sequence[Registered],
    norm: Normalised,
    weights: FloatArray,
    bands: tuple[str, ...],
    reference: Reference,
    measures: dict[str, float],
) -> Estimate:
    """Baseline, filter, spatial modes, response and calibration."""
    sun = sun_of(look, site)
    values = np.stack([one.yard for one in stack]).astype(np.float64)
    values = values * norm.gain[..., None] + norm.offset[..., None]
    values[:-1][weights[:-1] == 0] = np.nan
    design, ridge = _design(look, looks, norm)
    middle = np.nanmedian(values[:-1][weights[:-1] > 0], axis=0)
    middle = np.where(np.isfinite(middle), middle, np.nanmedian(middle, axis=1, keepdims=True))
    response = car_response(middle, bands, yard.grid.gsd_m, sun, yard.heading_rad)
    covariance = np.diag(np.full(len(bands), 0.008**2))
    model = fit_pixels(values, design, ridge, band_weights(response, covariance))
    response = car_response(model.predicted, bands, yard.grid.gsd_m, sun, yard.heading_rad)
    past = model.residual[:-1]
    filter_ = band_weights(response, residual_covariance(past, model.weight[:-1]))
    images = np.einsum("bn,lbn->ln", filter_, np.nan_to_num(model.residual))
    seen = np.isfinite(model.residual).all(axis=1)
    relative = _pixel_noise(images[:-1], seen[:-1], model)
    terms = spatial_terms(yard.axes, _mode_images(model, filter_, reference, yard))
    fits = remove_modes(images, seen, terms, yard.smooth, relative)
    answer, numbers = _inject(
        look, site, yard, sun, model, filter_, bands, images, seen, terms, relative, fits, looks
    )
    share = seen.mean(axis=1)
    x = answer.railcars(fits.total / np.maximum(share, 0.1))
    floor = _floor(fits, share, answer)
    fresh = sum(one.scene.orbit == look.scene.orbit for one in looks) < NEW_VIEW_LOOKS
    stretch = NEW_VIEW_STRETCH if fresh else 1.0

    def noise(number: int) -> Noise:
        hidden = max(1.0 - share[number], 0.0)
        spare = answer.relative if answer.relative > RELATIVE_FLOOR else RELATIVE_FLOOR
        return Noise(floor[number] * stretch, answer.per_car, float(np.hypot(spare, hidden)) * stretch)

    told = [
        (place, known[index])
        for place, index in enumerate(keep)
        if index in known and weights[place] > 0 and share[place] > 0.6
    ]
    calibration = calibrate(
        np.array([x[place] for place, _ in told]),
        np.array([entry.railcars for _, entry in told]),
        np.array([entry.sd for _, entry in told]),
        [noise(place) for place, _ in told],
    )
    bump = fits.kept[-1] * np.maximum(fits.rest[-1], 0.0)
    measures |= {
        "sum": float(fits.total[-1]), "sum_plain": float(fits.plain[-1]), "uncalibrated": float(x[-1]),
        "noise_floor": noise(-1).floor, "per_car_variance": answer.per_car, "relative_noise": noise(-1).relative,
        "zero": calibration.zero, "scale": calibration.scale, "stretch": calibration.stretch,
        "known_dates": float(calibration.known), "response_20": float(np.interp(20, answer.level, answer.mean)),
        "response_80": float(np.interp(80, answer.level, answer.mean)), "sun_elevation_deg": sun[0],
        "same_view_looks": float(sum(one.scene.orbit == look.scene.orbit for one in looks)),
        "injections": float(numbers),
    }  # fmt: skip
    return Estimate(float(x[-1]), noise(-1), calibration, stack[-1].shift_px, None, yard.track_share @ bump, measures)


def _design(look: Look, looks: Sequence[Look], norm: Normalised) -> tuple[FloatArray, FloatArray]:
    """Return regressors (L, P) and ridge penalties: season, patterns of the controls, the other orbit's view."""
    columns, ridge = [norm.season], [RIDGE_MEAN, RIDGE_SEASON, RIDGE_SEASON, RIDGE_HALF, RIDGE_HALF]
    columns.append(norm.factors)
    ridge += [RIDGE_FACTOR] * FACTORS
    orbits = [one.scene.orbit for one in (*looks, look)]
    if len(set(orbits)) > 1:
        columns.append(np.array([[1.0 if orbit == orbits[-1] else -1.0] for orbit in orbits]))
        ridge.append(RIDGE_ORBIT)
    return np.hstack(columns), np.array(ridge)


def _mode_images(model: PixelModel, filter_: FloatArray, reference: Reference, yard: Yard) -> list[FloatArray]:
    """Return what errors of gain, season, moisture and registration look like in the filter image."""
    out = [(filter_ * model.predicted).sum(axis=0), filter_.sum(axis=0)]
    out += [(filter_ * model.coefficients[:, place].T).sum(axis=0) for place in range(1, model.coefficients.shape[1])]
    gradient = reference.gradient.reshape(2, len(filter_), -1)[:, :, yard.index]
    return out + [(filter_ * part).sum(axis=0) for part in gradient.astype(np.float64)]


def _pixel_noise(images: FloatArray, seen: NDArray[np.bool_], model: PixelModel) -> FloatArray:
    """Return the noise of each pixel's filter value, cars, from its empty looks."""
    masked = np.where(seen & (model.weight[:-1] > 0.3), images, np.nan)
    number = np.isfinite(masked).sum(axis=0)
    size = np.sqrt(np.nansum(np.minimum(masked**2, np.nanquantile(masked**2, 0.98)), axis=0) / np.maximum(number, 1))
    typical = float(np.median(size[number > 2])) if (number > 2).any() else 1.0
    size = np.where(number > 2, size, typical)
    return np.asarray(np.clip(size, 0.6 * typical, 4 * typical) * np.sqrt(model.inflation))


def _inject(
    look: Look,
    site: Site,
    yard: Yard,
    sun: tuple[float, float],
    model: PixelModel,
    filter_: FloatArray,
    bands: tuple[str, ...],
    images: FloatArray,
    seen: NDArray[np.bool_],
    terms: FloatArray,
    relative: FloatArray,
    fits: ModeFit,
    looks: Sequence[Look],
) -> tuple[Response, int]:
    """Stand known numbers of cars into the emptiest history looks and see by how much their sums rise."""
    cars = rendered_cars(yard, site.tracks_on(look.scene.observed_at.astimezone(UTC).date()), sun)
    number, added = images_of(cars, model.predicted, filter_, bands)
    whole = np.flatnonzero(seen[:-1].mean(axis=1) > 0.9)
    if whole.size == 0:
        whole = np.argsort(-seen[:-1].mean(axis=1), kind="stable")[:1]
    pool = whole[np.argsort(np.abs(fits.total[whole]), kind="stable")[:POOL]]
    host = pool[np.arange(len(number)) % len(pool)]
    filled = remove_modes(images[host] + added, seen[host], terms, yard.smooth, relative)
    rise = filled.total - fits.total[host]
    return fit_response(number, rise), len(number)


def _floor(fits: ModeFit, share: FloatArray, answer: Response) -> FloatArray:
    """Return the noise of an empty yard for every look, cars, from what stands out on the side without cars."""
    below = (fits.kept * np.maximum(-fits.rest, 0.0)).sum(axis=1) / np.maximum(share, 0.1)
    slope = answer.level[1] / max(answer.mean[1], 1e-9)
    own = below * slope
    typical = float(np.median(own))
    return np.asarray(np.maximum(NOISE_SHARE * np.sqrt(0.5 * own**2 + 0.5 * typical**2), FLOOR_CARS))
