"""Per-track occupancy over time, as cells that a page can draw at any width."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from pipeline.model import CAR_PITCH_M, Observation, Track
from pipeline.report.data import ReportData
from pipeline.report.text import day, short

YEAR = timedelta(days=365)
CELL_DAYS = 3.0  # a look is drawn so wide at most; after that the track is unseen again
UNITS = 1000.0  # width of the drawing
LEVELS = ("none", "up to a quarter", "to a half", "to three quarters", "more")
_EDGES = (0.25, 0.5, 0.75)


@dataclass(frozen=True, slots=True)
class Cell:
    """One track in one look or month."""

    row: int
    x: float  # 0..UNITS
    width: float
    level: int  # index of LEVELS
    says: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A date on the axis."""

    percent: float
    label: str


@dataclass(frozen=True, slots=True)
class HeatMap:
    """A drawing of tracks by time, and the same as a table by month."""

    title: str
    tracks: tuple[str, ...]  # names, in the site's order
    cells: tuple[Cell, ...]
    ticks: tuple[Tick, ...]
    months: tuple[str, ...]  # columns of the table
    table: tuple[tuple[str, ...], ...]  # a row a track: highest number of railcars in each month, "–" when unseen


def level_of(cars: float, track: Track) -> int:
    """Return the index into `LEVELS` of the share of a track that its railcars fill, 14 m each."""
    share = cars * CAR_PITCH_M / max(track.line.length, 1.0)
    return 0 if cars < 0.5 else 1 + sum(share >= edge for edge in _EDGES)


def heat_maps(data: ReportData) -> tuple[HeatMap, ...]:
    """Return the heat map of the last year, look by look, and, for longer records, that of all months.

    Looks whose count says nothing by track are left out: their tracks were not told apart.
    """
    looks = [o for o in data.observations if o.count is not None and o.count.by_track]
    if not looks or not data.site.tracks:
        return ()
    end = datetime.combine(data.generated_for, time.max, tzinfo=UTC)
    recent = [o for o in looks if o.observed_at > end - YEAR]
    maps = []
    if recent:
        maps.append(_map(data, recent, end - YEAR, end, "The last twelve months, each look", by_month=False))
    if looks[0].observed_at < end - YEAR - timedelta(days=31):
        first = looks[0].observed_at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        maps.append(_map(data, looks, first, end, "All months, the fullest look of each", by_month=True))
    return tuple(maps)


def _map(
    data: ReportData, looks: Sequence[Observation], start: datetime, end: datetime, title: str, *, by_month: bool
) -> HeatMap:
    tracks = data.site.tracks
    highest: dict[tuple[int, str], float] = defaultdict(lambda: -1.0)
    for look in looks:
        for row, track in enumerate(tracks):
            cars = _cars(look, track)
            if cars is not None:
                key = (row, f"{look.observed_at.astimezone(UTC):%Y-%m}")
                highest[key] = max(highest[key], cars)
    months = tuple(_months(start, end))
    cells = _month_cells(tracks, highest, start, end) if by_month else _look_cells(tracks, looks, start, end)
    shown = months[-12:]
    table = tuple(
        (short(track.name, 40), *(f"{highest[row, m]:.0f}" if (row, m) in highest else "–" for m in shown))
        for row, track in enumerate(tracks)
    )
    return HeatMap(title, tuple(short(t.name, 24) for t in tracks), cells, _ticks(start, end), shown, table)


def _cars(look: Observation, track: Track) -> float | None:
    if look.count is None or not track.exists_on(look.observed_at.astimezone(UTC).date()):
        return None
    return look.count.by_track.get(track.track_id)


def _look_cells(
    tracks: Sequence[Track], looks: Sequence[Observation], start: datetime, end: datetime
) -> tuple[Cell, ...]:
    out = []
    ends = [o.observed_at for o in looks[1:]] + [end]
    for look, following in zip(looks, ends, strict=True):
        x0 = _x(look.observed_at, start, end)
        x1 = _x(min(following, look.observed_at + timedelta(days=CELL_DAYS), end), start, end)
        for row, track in enumerate(tracks):
            cars = _cars(look, track)
            if cars is not None:
                says = f"{day(look.observed_at)}, {short(track.name, 40)}: {cars:.0f} railcars"
                out.append(Cell(row, x0, max(x1 - x0, 0.8), level_of(cars, track), says))
    return tuple(out)


def _month_cells(
    tracks: Sequence[Track], highest: dict[tuple[int, str], float], start: datetime, end: datetime
) -> tuple[Cell, ...]:
    out = []
    for (row, month), cars in sorted(highest.items()):
        first = datetime.combine(date.fromisoformat(f"{month}-01"), time(), tzinfo=UTC)
        x0 = _x(max(first, start), start, end)
        x1 = _x(min(_next_month(first), end), start, end)
        says = f"{month}, {short(tracks[row].name, 40)}: up to {cars:.0f} railcars"
        out.append(Cell(row, x0, max(x1 - x0, 0.8), level_of(cars, tracks[row]), says))
    return tuple(out)


def _ticks(start: datetime, end: datetime) -> tuple[Tick, ...]:
    firsts = [datetime.combine(date.fromisoformat(f"{m}-01"), time(), tzinfo=UTC) for m in _months(start, end)]
    firsts = [f for f in firsts if f >= start]
    years = len(firsts) > 30
    wanted = [f for f in firsts if f.month == 1] if years else firsts[:: max(1, len(firsts) // 6)]
    wanted = wanted[:: max(1, -(-len(wanted) // 8))]
    return tuple(
        Tick(round(_x(f, start, end) / UNITS * 100, 2), f"{f:%Y}" if years else f"{f:%Y-%m}")
        for f in wanted
        if _x(f, start, end) < 0.94 * UNITS
    )


def _months(start: datetime, end: datetime) -> list[str]:
    out, at = [], start.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while at <= end:
        out.append(f"{at:%Y-%m}")
        at = _next_month(at)
    return out


def _next_month(first: datetime) -> datetime:
    return (first.replace(day=1) + timedelta(days=32)).replace(day=1)


def _x(at: datetime, start: datetime, end: datetime) -> float:
    return round(max(0.0, (at - start) / (end - start)) * UNITS, 2)
