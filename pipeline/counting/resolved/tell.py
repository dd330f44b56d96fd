"""A fine look becomes a count with an interval, or a refusal: what resolved and metre counting share."""

from __future__ import annotations

from collections import Counter
from datetime import UTC

import numpy as np
from shapely.geometry import box

from pipeline.counting.resolved.artifact import Model, load_model
from pipeline.counting.resolved.cars import railcars
from pipeline.counting.resolved.measure import Measured, measure, odd_measures
from pipeline.counting.resolved.see import see
from pipeline.counting.resolved.spread import Z90, Doubts, likelihood, spread_of
from pipeline.flags import canonical
from pipeline.model import COUNT_MAX, Count, Look, Refusal, Site, Track

Z99 = 2.3263  # at 0.99
LEAST_M = 90.0  # less track than six cars are long does not show what empty track looks like there
DISAGREE = 0.08  # share by which the count from length alone may differ (the project's SCIENCE.md)
# Evidence of rails below which a line is no railway in this image, at samplings in metres. Simulated yards of any
# condition had at least 0.85, 0.53 and 0.38 at up to 0.7, 1.2 and 1.7 m, yards of flat rectangles by another renderer
# at least 0.42, 0.39 and 0.32; lines along trailers and roofs on which cars were seen 0.06 to 0.58 at 0.3 m.
RAILS_AT_M, RAILS_LEAST = (0.6, 1.0, 1.6), (0.48, 0.36, 0.28)
HIDDEN_DENSITY = 0.01  # railcars on a metre of hidden track at least; a full track holds 0.07


def tell(
    look: Look,
    site: Site,
    name: str,
    method: str,
    version: str,
    model: Model | None = None,
    *,
    by_metres: bool = False,
) -> Count | Refusal:
    """Count railcars with the classifiers of one range of ground sampling.

    Parameters
    ----------
    look : Look
    site : Site
    name : str
        A word of `artifact.RANGES`.
    method, version : str
        Under which the count is stored.
    model : Model, optional
        Instead of the one that the package carries.
    by_metres : bool
        Count the expected occupied metres over the pitch instead of the cars of the likeliest cut.
    """
    scene_id = look.scene.scene_id

    def refuse(flag: str, detail: str, measures: dict[str, float] | None = None) -> Refusal:
        return Refusal(canonical((flag,)), detail, method, version, measures or {})

    day = look.scene.observed_at.astimezone(UTC).date()
    frame = box(*look.grid.bounds)
    tracks = [track for track in site.tracks_on(day) if track.line.intersects(frame)]
    if not tracks:
        return refuse("TRACKS_OUTSIDE", f"No track of {site.name} that exists on {day} lies inside {scene_id}.")
    model = model or load_model(name)
    hidden = [zone.area for kind in ("canopy", "ignore") for zone in site.zones_on(day, kind)]
    try:
        sight = see(look, tracks, model, hidden)
    except ValueError as error:
        return refuse("CONSTANT_IMAGE", f"{scene_id} shows nothing: it is {error}.")
    if sight is None:
        return refuse("NO_DATA", f"{scene_id} holds no clear pixel over the tracks of {site.name}.")
    measured = measure(sight, sight.cut(model.weights))
    if measured.covered_m < LEAST_M:
        return refuse(
            "NO_DATA",
            f"{scene_id} shows {measured.covered_m:.0f} m of track; less than {LEAST_M:.0f} m does not "
            "show what empty track looks like there.",
        )
    figures = measured.figures()
    odd = odd_measures(figures, model.trained)
    unlike = f"is unlike the training scenes: {odd}." if odd else ""
    if name == "fine":
        unlike = unlike or _no_rails(figures, look, site)
    if unlike:
        return refuse("OUT_OF_DISTRIBUTION", f"{scene_id} {unlike}", figures)
    return _count(look, site, tracks, measured, model, method, version, figures, by_metres)


def _no_rails(figures: dict[str, float], look: Look, site: Site) -> str:
    """Say that no rails are seen along the lines, "" when they are."""
    least = float(np.interp(look.grid.gsd_m, RAILS_AT_M, RAILS_LEAST))
    if figures.get("rails", least) >= least:  # without that figure nothing could tell
        return ""
    return (
        f"shows no rails along the lines of {site.name} (evidence {figures['rails']:.2f}, needed {least:.2f}): "
        "check that image and tracks lie on one another."
    )


def _count(
    look: Look,
    site: Site,
    tracks: list[Track],
    measured: Measured,
    model: Model,
    method: str,
    version: str,
    figures: dict[str, float],
    by_metres: bool,
) -> Count:
    cars = railcars(measured.sight, measured.cuts)
    n = measured.number(cars, by_metres=by_metres)
    on_track = Counter(car.track_id for car, _ in cars)
    each = n / len(cars) if cars else 1.0  # what a car of the list stands for
    day = look.scene.observed_at.astimezone(UTC).date()
    hidden_m = max(sum(track.line.length for track in site.tracks_on(day)) - measured.covered_m, 0.0)
    doubts = measured.doubts(cars, by_metres=by_metres)
    sd = float(spread_of(model.spread, look.grid.gsd_m, doubts, np.array([n]))[0])
    density = max(n / measured.covered_m, HIDDEN_DENSITY)
    # What is hidden is not in the number, but in the upper bound of its interval.
    unseen = hidden_m * density if hidden_m > 0.02 * (measured.covered_m + hidden_m) else 0.0
    by_length = measured.by_length(cars, by_metres=by_metres)
    flags = []
    if abs(by_length - n) > max(DISAGREE * n, 1.0):
        flags.append("METHODS_DISAGREE")
    if n >= COUNT_MAX:
        flags.append("COUNT_CAPPED")
    extra = {
        "by_length": round(by_length, 2),
        "hidden_m": round(hidden_m, 1),
        "occupied_m": round(measured.occupied_m if by_metres else measured.net_occupied_m(cars), 1),
    }
    empty = float(spread_of(model.spread, look.grid.gsd_m, Doubts(), np.zeros(1))[0])
    levels = np.arange(COUNT_MAX + 1, dtype=np.float64)
    spreads = spread_of(model.spread, look.grid.gsd_m, doubts, levels)
    shown = np.flatnonzero(levels - Z90 * spreads >= max(Z99 * empty, 0.5))
    return Count(
        railcars=min(n, float(COUNT_MAX)),
        low=round(max(n - Z90 * sd, 0.0), 3),
        high=round(n + Z90 * sd + unseen, 3),
        detection_limit=float(levels[shown[0]]) if shown.size else float(COUNT_MAX),
        likelihood=likelihood(n, spreads, unseen),
        method=method,
        method_version=version,
        flags=canonical(flags),
        by_kind={
            str(kind): round(each * k, 2) for kind, k in sorted(Counter(car.kind.value for car, _ in cars).items())
        },
        by_track={track.track_id: round(each * on_track[track.track_id], 2) for track in tracks},
        railcar_list=tuple(car for car, _ in cars),
        measures=dict(sorted((figures | extra).items())),
    )
