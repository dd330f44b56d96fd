"""What lies beside a surge: which looks to compare, and where everything is drawn.

All drawing is in one frame, metres of the site's CRS with the ordinate turned downwards, so that looks of
different sampling lie on each other, and tracks and railcars on both, whatever the zoom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shapely.geometry import LineString, Polygon
from shapely.ops import unary_union

from pipeline.model import Grid, Observation, Outcome, Railcar, Site, Surge
from pipeline.report.episode import story_of

LOOKS_AROUND = 8  # offered before and after the episode
_SEEN = (Outcome.COUNTED, Outcome.FLAGGED)
MARGIN_M = 60.0  # around the tracks at first sight, metres


@dataclass(frozen=True, slots=True)
class Frame:
    """The rectangle shown at first: origin in the site's CRS, extent in metres, ordinate downwards."""

    x0: float  # easting of the left edge
    y0: float  # northing of the upper edge
    width: float
    height: float

    @property
    def view_box(self) -> str:
        """Return the value of an SVG ``viewBox``."""
        return f"0 0 {self.width:.2f} {self.height:.2f}"

    @property
    def shape(self) -> str:
        """Return the class that gives the image this frame's shape: no bands of nothing beside a long yard."""
        ratio = self.width / self.height
        return "long" if ratio > 2.6 else "wide" if ratio > 1.7 else "square"

    def points(self, shape: LineString | Polygon) -> str:
        """Return the vertices of a line or of a polygon's outline as SVG ``points``, to the centimetre."""
        coords = shape.exterior.coords if isinstance(shape, Polygon) else shape.coords
        return " ".join(f"{x - self.x0:.2f},{self.y0 - y:.2f}" for x, y, *_ in coords)

    def matrix(self, grid: Grid) -> str:
        """Return the SVG ``matrix`` that lays an image of `grid`, one unit a pixel, into the frame."""
        a, b, c, d, e, f = grid.transform
        return f"matrix({a:.6f} {-d:.6f} {b:.6f} {-e:.6f} {c - self.x0:.2f} {self.y0 - f:.2f})"


@dataclass(frozen=True, slots=True)
class Mark:
    """One railcar as drawn and as listed."""

    index: int  # place in the count's own list
    number: int  # as the page numbers it: from 1, along each track in turn
    car: Railcar
    points: str
    track: str  # name of its track
    where: str  # track name and metres along it


def frame_of(site: Site) -> Frame:
    """Return the frame around the site's tracks, or its whole area when it has none."""
    shape = unary_union([track.line for track in site.tracks]) if site.tracks else site.area
    west, south, east, north = shape.bounds
    return Frame(
        west - MARGIN_M, north + MARGIN_M, east - west + 2 * MARGIN_M, max(north - south, 1.0) + 2 * MARGIN_M
    )


def marks(observation: Observation | None, site: Site, frame: Frame) -> tuple[Mark, ...]:
    """Return the resolved railcars of a look, along each track in turn; none for a look without any."""
    if observation is None or observation.count is None:
        return ()
    names = {track.track_id: track.name for track in site.tracks}
    order = {track.track_id: i for i, track in enumerate(site.tracks)}
    cars = list(enumerate(observation.count.railcar_list))
    cars.sort(key=lambda c: (order.get(c[1].track_id, len(order)), c[1].position_m, c[0]))
    out = []
    for number, (index, car) in enumerate(cars, 1):
        track = names.get(car.track_id, car.track_id)
        out.append(Mark(index, number, car, frame.points(car.polygon), track, f"{track}, {car.position_m:.0f} m"))
    return tuple(out)


def offered(surge: Surge, observations: Sequence[Observation]) -> tuple[Observation, ...]:
    """Return the looks of an episode with some before and after, in date order."""
    end = _end(surge)
    before = [o for o in observations if o.observed_at < surge.onset_latest and o.outcome in _SEEN][-LOOKS_AROUND:]
    during = [o for o in observations if surge.onset_latest <= o.observed_at <= end]
    after = [o for o in observations if o.observed_at > end and o.outcome in _SEEN][:LOOKS_AROUND]
    return (*before, *during, *after)


def first_pair(surge: Surge, looks: Sequence[Observation]) -> tuple[Observation | None, Observation | None]:
    """Return the two looks compared at first: the quiet one that the report shows too, and the peak."""
    later = [o for o in looks if o.outcome in _SEEN and o.observed_at >= surge.onset_latest]
    peak = min(later, key=lambda o: abs(o.observed_at - surge.peak_at), default=None)
    return story_of(surge, looks).quiet, peak


def part_of(surge: Surge, observation: Observation) -> str:
    """Say what a look is within an episode: quiet before, first alarm, peak, episode, after."""
    at = observation.observed_at
    if at == surge.peak_at:
        return "peak"
    if at == surge.first_alarm_at:
        return "first alarm"
    if at < surge.onset_latest:
        return "before"
    return "episode" if at <= _end(surge) else "after"


def _end(surge: Surge) -> datetime:
    return surge.ended_at or datetime.max.replace(tzinfo=surge.peak_at.tzinfo)
