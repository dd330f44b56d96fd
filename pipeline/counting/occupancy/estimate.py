"""The line from registered pixels to an uncalibrated number: gates, baseline, filter, spatial modes, response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.config import CountingSettings, QualitySettings
from pipeline.counting.occupancy.bench import Series
from pipeline.counting.occupancy.gates import (
    FIGURES,
    HISTORY_SIGMA,
    SEASON_LOOKS,
    Unlike,
    against_history,
    snow_index,
)
from pipeline.counting.occupancy.geometry import Yard
from pipeline.counting.occupancy.history import day_of_year
from pipeline.counting.occupancy.measure import Estimate, measure
from pipeline.counting.occupancy.normalise import normalise
from pipeline.counting.occupancy.register import Registered, reference_for, register
from pipeline.counting.occupancy.target import usable_bands
from pipeline.model import KnownCount, Look, Site

NOTHING_SEEN = 0.05  # visible share of the track pixels below which there is no image of them at all
MASKED_SHARE, MASKED_STRICTER = 0.05, 0.5  # hidden share of the ground near the yard from which gates are stricter
DRIFT_MAX = 6.0  # robust sigmas of what is common to the yard; beyond, its patches have been taken for 50 cars
MURK_MAX = 2.5  # beyond, a look says next to nothing, and what it says has been rain (one demo year, real dates)
BESIDE_MAX, BESIDE_CARS = 0.2, 8.0  # share and number of cars that may be ground, beyond which there is no count
CONTROLS_MIN, CONTROLS_MAX = 120, 500  # ground beside the yard that tells the noise of a look


@dataclass(frozen=True)
class Refused:
    """Why there is no number."""

    flag: str
    detail: str
    measures: dict[str, float]


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
    off = np.stack([one.off for one in stack])
    norm = normalise(off, yard.ring, yard.tile, days, weights)
    sigma, seasonal = against_history(norm.unlike, days)
    odd = (sigma.max(axis=1) > HISTORY_SIGMA)[:-1] & (seasonal[:-1] >= SEASON_LOOKS)
    if odd.any() and (~odd).sum() >= settings.history_min_looks:
        weights[:-1][odd] = 0.0
        norm = normalise(off, yard.ring, yard.tile, days, weights)
    used = weights[:-1] > 0
    if used.sum() < settings.history_min_looks:
        detail = f"only {int(used.sum())} earlier looks behind {name} can be compared with it"
        return Refused("HISTORY_SHORT", detail, measures)
    kept = np.r_[used, True]
    sigma, seasonal = against_history(norm.unlike[kept], days[kept])
    unlike = Unlike({figure: float(value) for figure, value in zip(FIGURES, sigma[-1], strict=True)})
    measures["season_looks"] = float(seasonal[-1])
    measures |= {f"{figure}_sigma": unlike.sigma[figure] for figure in FIGURES}
    # Beside what a cloud mask hides lies what it missed.
    hidden = 1.0 - float(np.isfinite(mine.off[0][yard.ring]).mean()) if yard.ring.any() else 0.0
    measures["hidden_near"] = hidden
    limit = quality.max_residual_sigma * (MASKED_STRICTER if hidden > MASKED_SHARE else 1.0)
    if norm.used[-1] > 0.05 and unlike.worst[1] > limit:
        if seasonal[-1] < SEASON_LOOKS:
            detail = (
                f"only {int(seasonal[-1])} earlier looks of this season stand behind {name}, whose ground differs "
                f"from the rest of the past; {SEASON_LOOKS} are needed"
            )
            return Refused("HISTORY_SHORT", detail, measures)
        detail = (
            f"the ground off the yard in {name} lies {unlike.worst[1]:.1f} robust sigmas from its own past "
            f"({unlike.worst[0]}; limit {limit:g}): haze, shadow or change"
        )
        return Refused("OFF_YARD_RESIDUAL", detail, measures)
    gain, offset = norm.gain[..., None], norm.offset[..., None]
    values = np.stack([one.yard for one in stack]).astype(np.float64) * gain + offset
    apron = np.stack([one.apron for one in stack]).astype(np.float64) * gain + offset
    flank = np.stack([one.flank for one in stack]).astype(np.float64) * gain + offset
    near = np.flatnonzero(yard.ring if yard.ring.sum() >= CONTROLS_MIN else np.ones_like(yard.ring))
    near = near[:: max(near.size // CONTROLS_MAX, 1)]
    control = off[:, :, near] * gain + offset
    for part in (values, apron, control, flank):
        part[:-1][weights[:-1] == 0] = np.nan
    told = {place: known[index] for place, index in enumerate(keep) if index in known and weights[place] > 0}
    series = Series(look, tuple(looks), site, yard, bands, values, norm, reference, told, apron, control, flank)
    return _gate_ground(measure(series, mine.shift_px, measures), name)


def _gate_ground(result: Estimate, name: str) -> Estimate | Refused:
    """Refuse a day on which the ground is too wet, has changed beside the tracks too, or scatters too much."""
    murk, drift = result.measures["murk"], result.measures["drift"]
    if drift > DRIFT_MAX:
        detail = (
            f"the ground between the tracks in {name} lies {drift:.1f} robust sigmas from its past as a whole "
            f"(limit {DRIFT_MAX:g}): so wet or so bright that its patches look like railcars"
        )
        return Refused("OFF_YARD_RESIDUAL", detail, result.measures)
    beside = result.measures["beside"]
    if beside > BESIDE_MAX and beside * result.x > BESIDE_CARS:
        detail = (
            f"{beside:.0%} of what looks like {result.x:.0f} railcars in {name} stands where the ground beside the "
            "tracks has changed as well: trains end at the tracks, so the ground has changed"
        )
        return Refused("OFF_YARD_RESIDUAL", detail, result.measures)
    if murk <= MURK_MAX:
        return result
    detail = (
        f"the ground beside the yard in {name} scatters {murk:.1f} times as on ordinary days "
        f"(limit {MURK_MAX:g}): too wet or too hazy for railcars to stand out"
    )
    return Refused("OFF_YARD_RESIDUAL", detail, result.measures)


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
    if visible < quality.min_clear_fraction:
        flag = "NO_DATA" if visible < NOTHING_SEEN else "CLOUDY"
        detail = f"{name} shows only {visible:.0%} of the track pixels; {quality.min_clear_fraction:.0%} are needed"
        return Refused(flag, detail, measures)
    measures["ndsi_available"] = float("green" in bands and "swir16" in bands)
    if measures["ndsi_available"]:
        index = snow_index(mine.yard[bands.index("green")], mine.yard[bands.index("swir16")])
        if np.isfinite(index):
            measures["ndsi_yard"] = index
            if index > quality.snow_ndsi:
                detail = f"{name} has a snow index of {index:.2f} on the tracks; the limit is {quality.snow_ndsi:g}"
                return Refused("SNOW", detail, measures)
    return None
