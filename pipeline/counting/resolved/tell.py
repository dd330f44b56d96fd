"""A fine look becomes a count with an interval, or a refusal: what resolved and metre counting share."""

from __future__ import annotations

from collections import Counter
from datetime import UTC

import numpy as np
from shapely.geometry import box

from pipeline.counting.resolved.artifact import Model, load_model
from pipeline.counting.resolved.cars import Scored, railcars
from pipeline.counting.resolved.clear import clarity, unclear
from pipeline.counting.resolved.measure import Measured, measure, odd_measures
from pipeline.counting.resolved.see import see
from pipeline.counting.resolved.spread import Z90, Doubts, likelihood, sides_of
from pipeline.flags import canonical
from pipeline.model import COUNT_MAX, Count, Look, Refusal, Site, Track

Z99 = 2.3263  # at 0.99
LEAST_M = 90.0  # less track than six cars are long does not show what empty track looks like there
DISAGREE = 0.08  # share by which the count from length alone may differ (the project's SCIENCE.md)
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
    cars = railcars(measured.sight, measured.cuts)
    figures = measured.figures()
    if name == "fine" and cars and sight.rails is not None:
        figures["clarity"] = round(clarity(cars, sight.rails, measured.unsure), 3)
    odd = odd_measures(figures, model.trained)
    unlike = f"is unlike the training scenes: {odd}." if odd else ""
    if name == "fine":
        unlike = unlike or unclear(figures, look.grid.gsd_m, site.name)
    if unlike:
        return refuse("OUT_OF_DISTRIBUTION", f"{scene_id} {unlike}", figures)
    return _count(look, site, tracks, measured, cars, model, method, version, figures, by_metres)


def _count(
    look: Look,
    site: Site,
    tracks: list[Track],
    measured: Measured,
    cars: list[Scored],
    model: Model,
    method: str,
    version: str,
    figures: dict[str, float],
    by_metres: bool,
) -> Count:
    n = measured.number(cars, by_metres=by_metres)
    on_track = Counter(car.track_id for car, _ in cars)
    each = n / len(cars) if cars else 1.0  # what a car of the list stands for
    day = look.scene.observed_at.astimezone(UTC).date()
    hidden_m = max(sum(track.line.length for track in site.tracks_on(day)) - measured.covered_m, 0.0)
    doubts = measured.doubts(cars, by_metres=by_metres)
    below, above = (float(side[0]) for side in sides_of(model.spread, look.grid.gsd_m, doubts, np.array([n])))
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
    empty = float(sides_of(model.spread, look.grid.gsd_m, Doubts(), np.zeros(1))[0][0])
    levels = np.arange(COUNT_MAX + 1, dtype=np.float64)
    spreads = sides_of(model.spread, look.grid.gsd_m, doubts, levels)
    shown = np.flatnonzero(levels - Z90 * spreads[0] >= max(Z99 * empty, 0.5))
    return Count(
        railcars=min(n, float(COUNT_MAX)),
        low=round(max(n - Z90 * below, 0.0), 3),
        high=round(n + Z90 * above + unseen, 3),
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
