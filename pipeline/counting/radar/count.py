"""Counts one Sentinel-1 look against its own orbit's past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from scipy.stats import pearsonr

from pipeline.config.schema import CountingSettings, QualitySettings
from pipeline.counting.radar.estimate import Pair, estimate
from pipeline.counting.radar.series import POLARISATIONS, SIX, YardSeries, yard_series, yard_weights
from pipeline.flags import canonical
from pipeline.model import CAR_PITCH_M, Count, FloatArray, KnownCount, Look, Refusal, Site

METHOD = "radar"
METHOD_VERSION = "2.1"
# Brightness of one metre of car over one metre of empty track, mean over kinds, dB; the same hints as the simulator's
# and as uncertain: `estimate` lets them be wrong by a factor.
CAR_DB = {"vv": 6.0, "vh": 5.2}
TRACK_WIDTH_M = 5.0
NOISE_LEAST = 0.02  # of a change: the instrument itself is no steadier than 0.1 dB from pass to pass
USUAL_SD = 6.0  # railcars by which a yard's quieter looks differ
SIX_DAYS = 100.0  # within which they must lie
NEAR_DAYS = 2.0  # a known count so far from a look still speaks of it
MOVED_PER_DAY = 5.0  # railcars by which a yard may differ a day later, standard deviation
PROOF_PAIRS = 6  # known dates needed to show that radar follows counts
PROOF_P = 0.01  # one-sided, of the correlation


def count(
    look: Look,
    history: Sequence[Look],
    site: Site,
    known: Sequence[KnownCount],
    settings: CountingSettings,
    quality: QualitySettings,
) -> Count | Refusal:
    """Estimate the railcars of a Sentinel-1 look.

    Parameters
    ----------
    look : Look
        gamma0 in linear power, bands vv and vh (one suffices).
    history : sequence of Look
        Earlier usable looks, oldest first; only those of the same platform, relative orbit and grid are used.
    site : Site
    known : sequence of KnownCount
        Known counts up to the look's day; those of earlier looks calibrate scale and zero.
    settings : CountingSettings
    quality : QualitySettings
        The smallest clear share of the track area.

    Returns
    -------
    Count or Refusal
        `measures` hold what a report may say of radar: the yard's change in each polarisation with the controls'
        taken out (``change_vv_db``, ``change_vh_db``), the probability that an empty yard shows as much
        (``empty_p``), the mean of the last six passes with its interval and detection limit (``mean6``,
        ``mean6_low``, ``mean6_high``, ``mean6_limit``, ``mean6_empty_p``), the noise of one pass in railcars and
        the chance of such a correlation with known counts (``known_correlation_p``). The flag RADAR_UNPROVEN stands
        unless that correlation is positive and significant.
    """
    measured = measure(look, history, site, settings, quality)
    return measured if isinstance(measured, Refusal) else conclude(look, measured, known)


@dataclass(frozen=True, eq=False)
class Measured:
    """The yard's brightness in one orbit's looks, before anything is said of railcars."""

    past: tuple[Look, ...]  # of the same platform, relative orbit and grid, oldest first
    change: FloatArray  # (past looks + 1,), relative to the past's mean and the controls; the last is the look's own
    noise: float  # its standard deviation over empty ground
    scale: float  # change that one railcar is expected to bring
    pooling: float  # noise of the mean of six passes over that of one
    parts: Mapping[str, float]  # for the record: the look's change in each polarisation, dB


def measure(
    look: Look, history: Sequence[Look], site: Site, settings: CountingSettings, quality: QualitySettings
) -> Measured | Refusal:
    """Measure the yard's brightness in a look and its orbit's past; the first half of `count`, of its parameters."""
    past = [one for one in history if _same_orbit(one, look) and one.scene.observed_at < look.scene.observed_at]
    past = past[-settings.history_max_looks :]
    weights = yard_weights(site, look, look.grid)
    past = [one for one in past if _seen(one, weights) >= quality.min_clear_fraction and _polarised(one, look)]
    refusal = _unusable(look, weights, len(past), settings, quality)
    if refusal is not None:
        return refusal
    series = yard_series(look, past, weights)
    if not series.polarisations:
        return _refuse("NO_DATA", "The radar looks of this orbit share neither VV nor VH.")
    change, noise, scale = _combine(series, look.grid.gsd_m)
    if not np.isfinite(noise):
        return _refuse("HISTORY_SHORT", f"The noise of this orbit cannot be told from {len(past)} earlier looks.")
    if not np.isfinite(change[-1]):
        return _refuse("NO_DATA", "The radar image holds no usable pixel over the tracks.")
    parts = {
        f"change_{name}_db": float(10.0 * np.log10(max(1.0 + own[-1], 1e-3)))
        for name, own in zip(series.polarisations, series.change, strict=True)
        if np.isfinite(own[-1])
    }
    return Measured(tuple(past), change, noise, scale, series.pooling, parts)


def _unusable(
    look: Look, weights: FloatArray, past: int, settings: CountingSettings, quality: QualitySettings
) -> Refusal | None:
    """Return why a look cannot be counted, None when it can."""
    seen = _seen(look, weights)
    if not weights.any():
        return _refuse("TRACKS_OUTSIDE", "No track of the site lies inside the radar image.")
    if not _polarised(look, look):
        return _refuse("NO_DATA", "The radar image holds neither VV nor VH.")
    if seen < quality.min_clear_fraction:
        return _refuse("NO_DATA", f"Only {seen:.0%} of the track area holds radar data.")
    if past < settings.history_min_looks:
        return _refuse(
            "HISTORY_SHORT",
            f"Only {past} earlier looks of {look.scene.platform} on orbit {look.scene.orbit or 'unknown'}; "
            f"{settings.history_min_looks} are needed.",
        )
    return None


def _seen(look: Look, weights: FloatArray) -> float:
    """Return the share of the yard's weights that a look holds data for."""
    total = float(weights.sum())
    return float(weights[look.clear].sum()) / total if total > 0 else 0.0


def _polarised(one: Look, look: Look) -> bool:
    """Tell whether two looks share VV or VH."""
    return bool(set(one.bands) & set(look.bands) & set(POLARISATIONS))


def conclude(look: Look, measured: Measured, known: Sequence[KnownCount]) -> Count:
    """Say what a measured change means in railcars, given the known counts; the second half of `count`."""
    past, change = measured.past, measured.change
    pairs = _pairs(past, change, known)
    before = change[:-1][np.isfinite(change[:-1])]
    one = estimate(float(change[-1]), measured.noise, before, measured.scale, pairs)
    proof, p_value = _proof(pairs)
    flags = [] if proof else ["RADAR_UNPROVEN"]
    if not pairs:
        flags.append("NO_KNOWN_DATES")
    measures = {
        **measured.parts,
        "noise_cars": one.noise_cars,
        "usual": one.usual,
        "scale": one.scale,
        "empty_p": one.empty_p,
        "known_pairs": float(len(pairs)),
        "known_correlation_p": p_value,
        **_six(look, measured, known),
    }
    return Count(
        railcars=_round(one.railcars),
        low=_round(one.low),
        high=_round(one.high),
        detection_limit=_round(one.detection_limit),
        likelihood=tuple(_round(float(value)) for value in one.likelihood),
        method=METHOD,
        method_version=METHOD_VERSION,
        flags=canonical(flags),
        measures={key: _round(value) for key, value in measures.items()},
    )


def _six(look: Look, measured: Measured, known: Sequence[KnownCount]) -> dict[str, float]:
    """Return the mean of the look and the five passes before it, against the looks before those."""
    past, change = measured.past, measured.change
    since = look.scene.observed_at - timedelta(days=SIX_DAYS)
    recent = [k for k, one in enumerate(past) if one.scene.observed_at >= since][-(SIX - 1) :]
    older = range(recent[0] if recent else 0)
    before = change[: len(older)][np.isfinite(change[: len(older)])]
    if len(recent) < SIX - 1 or len(before) < SIX:
        return {}
    base = float(before.mean())
    mean = float(np.nanmean(change[[*recent, len(past)]])) - base
    pairs = [Pair(pair.change - base, pair.railcars, pair.sd) for pair in _pairs(past[: len(older)], change, known)]
    six = estimate(mean, measured.noise, before - base, measured.scale, pairs, pooling=measured.pooling)
    return {
        "mean6": six.railcars,
        "mean6_low": six.low,
        "mean6_high": six.high,
        "mean6_limit": six.detection_limit,
        "mean6_empty_p": six.empty_p,
    }


def _same_orbit(one: Look, look: Look) -> bool:
    """Tell whether two looks may stand in one baseline: never across platforms, orbits, products or grids."""
    return (
        one.scene.platform == look.scene.platform
        and one.scene.orbit == look.scene.orbit
        and _product(one) == _product(look)
        and one.grid.crs == look.grid.crs
        and one.grid.shape == look.grid.shape
        and bool(np.allclose(one.grid.transform, look.grid.transform, atol=1e-6))
    )


def _product(look: Look) -> tuple[str, bool]:
    """Return what a look's numbers are: terrain-corrected or not, calibrated or not."""
    return look.scene.items[0].collection if look.scene.items else "", "RADAR_UNCALIBRATED" in look.flags


def _combine(series: YardSeries, gsd_m: float) -> tuple[FloatArray, float, float]:
    """Join the polarisations by what each says of cars over its noise; return changes, noise and change per car."""
    factor = np.array([10 ** (CAR_DB[name] / 10) - 1.0 for name in series.polarisations])
    per_car = factor * CAR_PITCH_M * TRACK_WIDTH_M / gsd_m**2 * series.share / series.area_px
    # The yard's own quiet half holds cars that come and go, some USUAL_SD of them: they are no noise.
    own = np.sqrt(np.maximum(series.own_noise**2 - (per_car * USUAL_SD) ** 2, (0.5 * series.own_noise) ** 2))
    # Few patches leave the one unknown, few looks the other.
    either = np.fmax(*(np.where(np.isfinite(one), one, np.nan) for one in (series.empty_noise, own)))
    noise = np.where(np.isnan(either), np.inf, np.maximum(either, NOISE_LEAST))
    if np.isinf(noise).all():
        return np.full(series.change.shape[1], np.nan), float("inf"), float("nan")
    weight = per_car / noise**2
    weight = weight / weight.sum()
    change = (weight[:, None] * series.change).sum(axis=0)
    # Speckle is independent between polarisations, moisture is not: noise between the two extremes.
    share = np.where(weight > 0, weight * noise, 0.0)
    apart, together = float(np.sqrt((share**2).sum())), float(share.sum())
    return change, 0.5 * (apart + together), float((weight * per_car).sum())


def _pairs(past: Sequence[Look], change: FloatArray, known: Sequence[KnownCount]) -> list[Pair]:
    """Join known counts to the nearest look of the orbit; each look and each count is used once."""
    made: dict[int, tuple[float, Pair]] = {}
    for entry in known:
        gaps = [abs((one.scene.observed_at - entry.observed_at).total_seconds()) / 86400.0 for one in past]
        nearest = int(np.argmin(gaps)) if gaps else -1
        if nearest < 0 or gaps[nearest] > NEAR_DAYS or not np.isfinite(change[nearest]):
            continue
        sd = float(np.hypot(entry.sd, MOVED_PER_DAY * gaps[nearest]))
        pair = Pair(float(change[nearest]), entry.railcars, sd)
        if nearest not in made or gaps[nearest] < made[nearest][0]:
            made[nearest] = (gaps[nearest], pair)
    return [made[key][1] for key in sorted(made)]


def _proof(pairs: Sequence[Pair]) -> tuple[bool, float]:
    """Tell whether radar has been shown to follow counts here: enough known dates and a positive correlation."""
    if len(pairs) < PROOF_PAIRS:
        return False, 1.0
    x, y = np.array([pair.railcars for pair in pairs]), np.array([pair.change for pair in pairs])
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return False, 1.0
    p_value = float(pearsonr(x, y, alternative="greater").pvalue)
    return p_value <= PROOF_P, p_value


def _round(value: float) -> float:
    return float(f"{value:.6g}")


def _refuse(flag: str, detail: str) -> Refusal:
    return Refusal((flag,), detail, METHOD, METHOD_VERSION)
