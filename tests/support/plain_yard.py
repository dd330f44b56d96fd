"""A second renderer of yards, as another author would write it: the counter was never trained on its pictures.

Rectangles on a noisy ground, drawn with anti-aliasing at four times the resolution, with cast shadows and a
Gaussian blur. It shares no code with `pipeline.simulate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, zoom
from shapely.geometry import LineString, Polygon, box

from pipeline.model import Grid, Look, RailcarKind, Scene, Site, Track

FINE = 4
GREYS = {
    RailcarKind.ORE: [(62, 60, 58), (96, 70, 52), (120, 112, 100)],
    RailcarKind.BOX: [(120, 60, 48), (150, 152, 150), (88, 100, 84)],
    RailcarKind.TANK: [(40, 40, 42), (190, 190, 188), (140, 140, 140)],
    RailcarKind.FLAT: [(110, 96, 80)],
}
SIZES = {RailcarKind.ORE: 13.9, RailcarKind.BOX: 15.0, RailcarKind.TANK: 12.0, RailcarKind.FLAT: 14.3}


@dataclass(frozen=True)
class PlainScene:
    """A picture and its truth."""

    look: Look
    site: Site
    truth: list[tuple[Polygon, RailcarKind]]


def plain_scene(
    seed: int,
    gsd_m: float,
    cars: int,
    *,
    tracks: int = 8,
    length_m: float = 500.0,
    off_m: float = 0.0,
    contrast: float = 1.0,
    overcast: bool = False,
    snow: bool = False,
    bits: int = 8,
    colour: bool = True,
    any_colour: bool = False,
    gap_m: float = 1.1,
    rails: bool = True,
    shadows: bool = True,
    flat: bool = False,
    noise: float = 2.5,
    spacing_m: float = 5.0,
    gamma: float = 1.0,
) -> PlainScene:
    """Draw a straight or gently bent yard with exactly `cars` cars.

    Without `rails` there is neither rail nor bed, only ground; `flat` cars are rectangles of one colour; `noise` is
    in digital numbers of 8 bit.
    """
    rng = np.random.default_rng(seed)
    height = tracks * spacing_m + 50
    grid = Grid(
        "EPSG:32652",
        (gsd_m, 0, 520_000.0, 0, -gsd_m, 4_700_000.0 + height),
        int(length_m / gsd_m),
        int(height / gsd_m),
    )
    bend = float(rng.uniform(-8, 8))
    x = np.arange(-5, length_m + 6, 5.0)
    lines = []
    for k in range(tracks):
        y = 25 + spacing_m * k + bend * (2 * x / length_m - 1) ** 2
        lines.append(np.stack([x, y], axis=1))
    scale = FINE / gsd_m
    size = (grid.width * FINE, grid.height * FINE)
    ground = (205, 210, 216) if snow else (112, 104, 94)
    image = Image.new("RGB", size, ground)
    draw = ImageDraw.Draw(image)

    def pixel(points: NDArray[np.float64]) -> list[tuple[float, float]]:
        return [(float(px * scale), float((height - py) * scale)) for px, py in points]

    bed = (150, 148, 146) if snow else (88, 83, 78)
    draw.rectangle(
        [0, (height - 25 - spacing_m * tracks) * scale, size[0], (height - 18) * scale],
        fill=ground if snow else (98, 93, 88),
    )
    for line in lines if rails else ():
        draw.line(pixel(line), fill=bed, width=int(2.6 * scale))
        for side in (-0.76, 0.76):
            draw.line(pixel(line + np.array([0, side])), fill=(128, 120, 114), width=max(int(0.12 * scale), 1))
    placed = _place(rng, lines, cars, length_m, gap_m)
    sun = np.deg2rad(float(rng.uniform(130, 230)))
    reach = 0.0 if overcast else 1 / np.tan(np.deg2rad(float(rng.uniform(25, 55))))
    away = -np.array([np.sin(sun), np.cos(sun)]) * reach
    shade = Image.new("L", size, 0)
    pen = ImageDraw.Draw(shade)
    for outline, kind, _colour in placed if shadows else ():
        tall = 1.3 if kind is RailcarKind.FLAT else 3.8
        corners = np.asarray(outline.exterior.coords)[:-1] - [520_000.0, 4_700_000.0]
        hull = LineString(np.vstack([corners, corners + away * tall])).convex_hull
        if isinstance(hull, Polygon):
            pen.polygon(pixel(np.asarray(hull.exterior.coords)), fill=255)
    array = np.asarray(image, dtype=np.float32)
    shadow = np.asarray(shade, dtype=np.float32)[..., None] / 255
    array = array * (1 - (0.25 if overcast else 0.55) * shadow)
    image = Image.fromarray(array.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for outline, kind, base in placed:
        colour_of = tuple(int(c) for c in rng.integers(30, 220, 3)) if any_colour else base
        corners = np.asarray(outline.exterior.coords)[:-1] - [520_000.0, 4_700_000.0]
        draw.polygon(pixel(corners), fill=colour_of)
        middle = corners.mean(axis=0)
        inner = {RailcarKind.ORE: 0.72, RailcarKind.TANK: 0.35}.get(kind)
        if inner and not flat:
            factor = 0.7 if kind is RailcarKind.ORE else 1.25
            small = middle + (corners - middle) * [0.94, inner]
            draw.polygon(pixel(small), fill=tuple(int(min(c * factor, 255)) for c in colour_of))
    full = np.asarray(image, dtype=np.float32)
    plain = np.asarray(Image.new("RGB", (1, 1), bed), dtype=np.float32)
    full = plain + contrast * (full - plain)
    texture = gaussian_filter(rng.standard_normal(size[::-1]).astype(np.float32), 2.0 * FINE)
    full *= 1 + 0.08 * (texture / texture.std())[..., None]
    blurred = np.stack([gaussian_filter(full[..., b], 0.5 * FINE) for b in range(3)])
    values = blurred.reshape(3, grid.height, FINE, grid.width, FINE).mean(axis=(2, 4))
    values = 255 * np.clip(values / 255, 0, 1) ** gamma + rng.normal(0, noise, values.shape)
    bands: tuple[str, ...] = ("red", "green", "blue")
    if not colour:
        values, bands = values.mean(axis=0, keepdims=True), ("pan",)
    values = np.clip(np.round(values), 1, 255) if bits == 8 else np.clip(np.round(values * 11), 1, 2047)
    moved = tuple(
        Track(
            f"p{k + 1}",
            f"Plain {k + 1}",
            LineString(line + np.array([520_000.0, 4_700_000.0 + off_m])),
            "yard",
            provisional=False,
        )
        for k, line in enumerate(lines)
    )
    site = Site("plain", "Plain yard", grid.crs, box(*grid.bounds), moved)
    scene = Scene("PLAIN_1", "test", "vhr", "TEST", datetime(2023, 10, 5, 2, tzinfo=UTC), gsd_m, ())
    look = Look("plain", scene, grid, bands, values.astype(np.float32), np.ones(grid.shape, bool), 1.0)
    return PlainScene(look, site, [(outline, kind) for outline, kind, _ in placed])


def _place(
    rng: np.random.Generator, lines: list[NDArray[np.float64]], cars: int, length_m: float, gap_m: float
) -> list[tuple[Polygon, RailcarKind, tuple[int, int, int]]]:
    placed: list[tuple[Polygon, RailcarKind, tuple[int, int, int]]] = []
    share = cars / (len(lines) * length_m / 15)
    kinds = list(SIZES)
    while len(placed) < cars:
        placed = []
        for line in lines:
            track = LineString(line)
            position = float(rng.uniform(8, 40))
            while position < length_m - 30:
                if rng.random() > min(share * 1.25, 0.97):
                    position += float(rng.uniform(10, 60))
                    continue
                kind = kinds[int(rng.choice(len(kinds), p=[0.45, 0.25, 0.2, 0.1]))]
                for _ in range(int(rng.integers(2, 15))):
                    long = SIZES[kind] + float(rng.normal(0, 0.3))
                    if position + long > length_m - 8:
                        break
                    a, b = track.interpolate(position + gap_m / 2), track.interpolate(position + long - gap_m / 2)
                    if a.x < 1 or b.x > length_m - 1:
                        position += long
                        continue
                    along = np.array([b.x - a.x, b.y - a.y])
                    side = np.array([-along[1], along[0]]) / np.hypot(*along) * 1.55
                    ends = np.array([[a.x, a.y], [b.x, b.y]]) + np.array([520_000.0, 4_700_000.0])
                    outline = Polygon([ends[0] - side, ends[1] - side, ends[1] + side, ends[0] + side])
                    palette = GREYS[kind]
                    placed.append((outline, kind, palette[int(rng.integers(len(palette)))]))
                    position += long
                position += float(rng.uniform(15, 60))
        share = share * 1.2 + 0.02
    keep = sorted(rng.choice(len(placed), cars, replace=False)) if cars else []
    return [placed[int(k)] for k in keep]


def zoomed(values: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Return bands resampled by a factor, bilinear."""
    return np.asarray(zoom(values, (1, factor, factor), order=1), dtype=np.float32)
