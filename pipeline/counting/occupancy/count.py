"""The occupancy estimator: a coarse look and its history become a number of railcars, or a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

import numpy as np

from pipeline.config import CountingSettings, QualitySettings
from pipeline.counting.occupancy import estimate
from pipeline.counting.occupancy.calibrate import state
from pipeline.counting.occupancy.estimate import Refused
from pipeline.counting.occupancy.geometry import yard_of
from pipeline.counting.occupancy.history import choose, known_looks
from pipeline.flags import canonical
from pipeline.model import COUNT_MAX, Count, KnownCount, Look, Refusal, Site

METHOD = "occupancy"
METHOD_VERSION = "2.7"
SHORTEST_CAR_M = 12.0  # over couplers (tank cars): tracks cannot hold more
OFF_LEAST = 60  # pixels off the yard without which no look can be brought to the series' radiometry
OVERGROWN_NDVI = 0.6  # of the track area in its greenest tenth of looks: closed vegetation, no rail in sight
APRON_ACTIVE = 10.0  # railcar equivalents on the apron from which the count carries a reservation


def count(
    look: Look,
    history: Sequence[Look],
    site: Site,
    known: Sequence[KnownCount],
    settings: CountingSettings,
    quality: QualitySettings,
) -> Count | Refusal:
    """Count railcars in a look of 10 to 30 m against the yard's own past.

    Parameters
    ----------
    look : Look
        Surface reflectance on the site's grid, not registered.
    history : sequence of Look
        Earlier usable looks of the same sensor, oldest first, not registered.
    site : Site
    known : sequence of KnownCount
        Dates with a known number; those that fall on a day of a history look calibrate scale and zero.
    settings : CountingSettings
    quality : QualitySettings

    Returns
    -------
    Count or Refusal
        The count leans on nothing later than the look. Its interval is the central 90 %.
    """
    past = choose(look, history, known, settings)

    def refuse(flag: str, detail: str, measures: dict[str, float]) -> Refusal:
        return Refusal(canonical((flag,)), detail, METHOD, METHOD_VERSION, measures)

    yard = yard_of(site, look.grid, look.scene.observed_at.astimezone(UTC).date())
    if yard is None:
        return refuse("TRACKS_OUTSIDE", f"no track of {site.name} lies inside {look.scene.scene_id}", {})
    if yard.off.size < OFF_LEAST:
        detail = (
            f"the area of {site.name} holds only {yard.off.size} pixels of open ground off the tracks at "
            f"{yard.grid.gsd_m:g} m, and {OFF_LEAST} are needed to tell light from trains; make the area larger"
        )
        return refuse("SAMPLING_UNSUITED", detail, {})
    if len(past) < settings.history_min_looks:
        number = float(len(past))
        return refuse(
            "HISTORY_SHORT",
            f"{len(past)} usable earlier looks stand behind {look.scene.scene_id}; "
            f"{settings.history_min_looks} are needed for a baseline",
            {"history_looks": number},
        )
    result = estimate.estimate(look, past, site, yard, known_looks(past, known), settings, quality)
    if isinstance(result, Refused):
        return refuse(result.flag, result.detail, result.measures)
    capacity = yard.track_m / SHORTEST_CAR_M
    if result.x > capacity:
        return refuse(
            "OUT_OF_DISTRIBUTION",
            f"{look.scene.scene_id} differs from its past by more than {capacity:.0f} railcars, all that the tracks "
            "hold: not trains, but light or ground",
            result.measures,
        )
    stated = state(result.x, result.calibration, result.noise, result.usual)
    flags = []
    if result.calibration.known == 0:
        flags.append("NO_KNOWN_DATES")
    if result.shift_px is None:
        flags.append("SHIFT_UNKNOWN")
    if stated.high >= COUNT_MAX:
        flags.append("COUNT_CAPPED")
    if result.apron is not None and result.apron >= APRON_ACTIVE:
        flags.append("APRON_ACTIVE")
    if result.measures["track_ndvi"] > OVERGROWN_NDVI:
        flags.append("TRACKS_OVERGROWN")
    share = result.by_track / max(float(result.by_track.sum()), 1e-9)
    by_track = {
        name: round(float(part) * stated.railcars, 3) for name, part in zip(yard.track_ids, share, strict=True)
    }
    figures = result.measures | {"alarm_threshold": stated.threshold}
    return Count(
        railcars=stated.railcars,
        low=stated.low,
        high=stated.high,
        detection_limit=stated.detection_limit,
        likelihood=stated.likelihood,
        method=METHOD,
        method_version=METHOD_VERSION,
        flags=canonical(flags),
        by_track=by_track,
        apron=None if result.apron is None else round(result.apron, 3),
        measures={name: float(np.round(value, 6)) for name, value in sorted(figures.items())},
    )
