"""A surge's evidence as the page shows it: pictures with tracks and railcars laid over them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC

from shapely.geometry import MultiPolygon, Polygon
from shapely.ops import unary_union

from pipeline.model import Count, Grid, Look, Observation, Site, Surge
from pipeline.report.data import LookFor
from pipeline.report.episode import Story, looks_of, story_of
from pipeline.report.heatmap import level_of
from pipeline.report.pictures import (
    FINE_M,
    Picture,
    Stretch,
    Window,
    comparable,
    difference,
    line_points,
    nice_length_m,
    north_deg,
    render,
    render_difference,
    stretch_of,
    window_around_tracks,
)
from pipeline.report.text import counted, day, minute, percent, safe_href, short

YARD_M = 8.0  # around the tracks: the ground that a row of cars and its shadow change, metres


@dataclass(frozen=True, slots=True)
class TrackMark:
    """One track as drawn."""

    points: str
    label: str
    level: int  # 0 none, 1 to 4 by the share occupied; -1 not stated


@dataclass(frozen=True, slots=True)
class CarMark:
    """The resolved railcars of one kind as drawn."""

    path: str  # SVG path of their outlines
    label: str
    number: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture with its caption."""

    title: str
    uri: str  # data: address of the picture, "" when the archive has none
    width: int  # of the frame, pixels of the window
    height: int
    alt: str
    tracks: tuple[TrackMark, ...] = ()
    cars: tuple[CarMark, ...] = ()
    yard: tuple[str, ...] = ()  # outlines of the ground that the tracks cover, SVG points
    scale_label: str = ""
    scale_percent: float = 0.0  # of the picture's width
    north: float = 0.0  # degrees clockwise from upwards
    facts: tuple[tuple[str, str], ...] = ()  # label and text
    item_ids: tuple[str, ...] = ()
    link: str = ""  # http(s) address of the item, "" when it has none
    note: str = ""
    fine: bool = False  # photographic: single cars can be told


def frames_of(
    surge: Surge, site: Site, observations: Sequence[Observation], look_for: LookFor, *, max_pixels: int = 120_000
) -> tuple[Frame, ...]:
    """Return the frames of a surge: last quiet look, first alarm, peak, difference.

    All looks of one sampling are shown with the stretch of the quiet look. A look whose chip is not in the archive
    is a frame without a picture that says so: it is never left out in silence.
    """
    story = story_of(surge, observations)
    together = story.alarm is not None and story.alarm is story.peak
    wanted: list[tuple[str, Observation | None]] = [
        ("Last clear quiet look" if story.passed_over else "Last quiet look", story.quiet)
    ]
    wanted += (
        [("First alarm and peak", story.peak)]
        if together
        else [
            ("First alarm", story.alarm),
            ("Peak", story.peak),
        ]
    )
    looks: dict[str, Look | None] = {}
    stretches: dict[tuple[str, float], Stretch] = {}
    out = []
    for title, observation in wanted:
        if observation is None:
            out.append(Frame(title, "", 0, 0, "", note="No look with a count stands here."))
            continue
        look = looks.setdefault(observation.scene_id, look_for(observation.scene_id))
        if look is None:
            out.append(_without_picture(title, observation))
            continue
        window = window_around_tracks(site, look.grid)
        key = (observation.sensor, look.grid.gsd_m)
        stretch = stretches.setdefault(key, stretch_of(look, window))
        out.append(
            _frame(title, observation, look, site, window, render(look, window, stretch, max_pixels=max_pixels))
        )
    out.append(_difference(story.quiet, _risen(surge, story, observations), looks, look_for, site, max_pixels))
    return tuple(out)


def _risen(surge: Surge, story: Story, observations: Sequence[Observation]) -> Observation | None:
    """Return the look to set against the quiet one: the peak, or the fullest look of the quiet one's sensor."""
    quiet, peak = story.quiet, story.peak
    if quiet is None or peak is None or (quiet.sensor, quiet.gsd_m) == (peak.sensor, peak.gsd_m):
        return peak
    same = [
        o
        for o in looks_of(surge, observations)
        if o.count is not None
        and o.observed_at >= surge.onset_latest
        and (o.sensor, o.gsd_m) == (quiet.sensor, quiet.gsd_m)
    ]
    return max(same, key=lambda o: o.count.railcars if o.count else 0.0, default=peak)


def _frame(title: str, observation: Observation, look: Look, site: Site, window: Window, picture: Picture) -> Frame:
    when = observation.observed_at.astimezone(UTC).date()
    scale = nice_length_m(window.width * look.grid.gsd_m)
    link = next((href for href in (safe_href(item.self_href) for item in look.scene.items) if href), "")
    return Frame(
        title,
        _uri(picture),
        window.width,
        window.height,
        f"{title}, {day(when)}: {counted(observation)} railcars on {len(site.tracks_on(when))} tracks",
        track_marks(site, observation, look.grid, window),
        car_marks(site, observation.count, look.grid, window),
        (),
        f"{scale:g} m",
        100.0 * scale / (window.width * look.grid.gsd_m),
        north_deg(look.grid),
        facts_of(observation, look),
        observation.item_ids or tuple(item.item_id for item in look.scene.items),
        link,
        fine=look.grid.gsd_m < FINE_M,
    )


def _without_picture(title: str, observation: Observation) -> Frame:
    return Frame(
        title,
        "",
        0,
        0,
        "",
        facts=facts_of(observation, None),
        item_ids=observation.item_ids,
        note="The archive holds no chip of this look, so there is no picture.",
    )


def _difference(
    quiet: Observation | None,
    peak: Observation | None,
    looks: dict[str, Look | None],
    look_for: LookFor,
    site: Site,
    max_pixels: int,
) -> Frame:
    title = "Difference"
    before = looks.get(quiet.scene_id) if quiet else None
    after = (looks[peak.scene_id] if peak.scene_id in looks else look_for(peak.scene_id)) if peak else None
    if quiet is None or peak is None or before is None or after is None:
        return Frame(title, "", 0, 0, "", note="No difference: one of the two looks has no picture.")
    if not comparable(before, after):
        return Frame(
            title,
            "",
            0,
            0,
            "",
            note="No difference: the quiet look and the peak come from different sensors or grids.",
        )
    window = window_around_tracks(site, after.grid)
    change, shift = difference(before, after, window)
    aligned = (
        "the shift could not be measured, so edges may show"
        if shift is None
        else "no shift found"
        if max(map(abs, shift)) < 0.005
        else f"{shift[0]:+.2f} columns and {shift[1]:+.2f} rows removed"
    )
    picture, span = render_difference(change, after.grid.gsd_m, max_pixels=max_pixels)
    scale = nice_length_m(window.width * after.grid.gsd_m)
    return Frame(
        title,
        _uri(picture),
        window.width,
        window.height,
        f"Change in brightness from {day(quiet.observed_at)} to {day(peak.observed_at)} around the tracks",
        (),
        (),
        yard_outlines(site, after.grid, window),
        f"{scale:g} m",
        100.0 * scale / (window.width * after.grid.gsd_m),
        north_deg(after.grid),
        (
            ("Shows", f"{day(peak.observed_at)} minus {day(quiet.observed_at)}"),
            ("Scale", f"red darker, blue brighter, full at ±{span:.3g} of the image's values"),
            ("Aligned", aligned),
            ("Levelled", "to median and spread of the earlier look; grey is masked in either"),
        ),
    )


def yard_outlines(site: Site, grid: Grid, window: Window) -> tuple[str, ...]:
    """Return the outlines of the ground within 8 m of a track, so that a difference is framed and not covered."""
    if not site.tracks:
        return ()
    ground = unary_union([track.line for track in site.tracks]).buffer(YARD_M).simplify(1.0)
    parts = ground.geoms if isinstance(ground, MultiPolygon) else (ground,)
    return tuple(
        line_points(list(part.exterior.coords)[:-1], grid, window, 1) for part in parts if isinstance(part, Polygon)
    )


def track_marks(site: Site, observation: Observation, grid: Grid, window: Window) -> tuple[TrackMark, ...]:
    """Return the tracks that exist at a look, each with the share of it that the count sees occupied."""
    tracks = site.tracks_on(observation.observed_at.astimezone(UTC).date())
    by_track = observation.count.by_track if observation.count is not None else {}
    out = []
    for track in tracks:
        cars = by_track.get(track.track_id)
        label = short(track.name, 40) + ("" if cars is None else f": {cars:.0f} railcars")
        out.append(
            TrackMark(
                line_points(list(track.line.coords), grid, window),
                label,
                -1 if cars is None else level_of(cars, track),
            )
        )
    return tuple(out)


def car_marks(site: Site, count: Count | None, grid: Grid, window: Window) -> tuple[CarMark, ...]:
    """Return the outlines of the resolved railcars of a count."""
    if count is None:
        return ()
    outlines: dict[str, list[str]] = {}
    for car in count.railcar_list:
        points = line_points(list(car.polygon.exterior.coords)[:-1], grid, window, 1)
        outlines.setdefault(car.kind.value, []).append(f"M{points}z")
    return tuple(
        CarMark("".join(found), f"{kind}: {len(found)}", len(found)) for kind, found in sorted(outlines.items())
    )


def facts_of(observation: Observation, look: Look | None) -> tuple[tuple[str, str], ...]:
    """Return what stands under a picture: when, by what, how many, sun, clear part, flags."""
    elevation = observation.sun_elevation_deg if look is None else look.scene.sun_elevation_deg
    azimuth = look.scene.sun_azimuth_deg if look is not None else None
    sun = "not stated" if elevation is None else f"{elevation:.0f}° high"
    if elevation is not None and azimuth is not None:
        sun += f", from {azimuth:.0f}°"
    facts = [
        ("Seen", minute(observation.observed_at)),
        ("Railcars", counted(observation)),
        ("By", f"{short(observation.platform, 30)} at {observation.gsd_m:g} m, {short(observation.method, 30)}"),
        ("Sun", sun),
        ("From", short(observation.source, 60) or "not stated"),
        ("Clear", percent(observation.clear_fraction)),
    ]
    if observation.flags:
        facts.append(("Flags", ", ".join(short(flag, 40) for flag in observation.flags)))
    return tuple(facts)


def _uri(picture: Picture) -> str:
    return f"data:{picture.mime};base64,{base64.b64encode(picture.content).decode('ascii')}"
