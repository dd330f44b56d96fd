"""Resolved counting on pictures of two other renderers, and on real aerial images of look-alikes.

Run as `python tests/benchmarks/bench_resolved_other.py [--data DIR] [--seed 500] [--scenes 6]`, DIR being the folder
with the six look-alike images of the UC Merced land use set (256×256 px at 0.3 m), which are also averaged to 0.6
and 1.5 m. The other renderers are `tests/support/plain_yard.py`, flat rectangles, and `tests/support/relief_yard.py`,
shapes under a sun; neither shares code with the simulator that the counter was trained on. `--only plain`, `relief`
or `alike` runs a part.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import rasterio
from shapely.geometry import LineString, box

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.fine_yards import judge, summary
from support.plain_yard import PlainScene, plain_scene
from support.relief_yard import ReliefScene, relief_scene

from pipeline.counting.resolved import METHOD_VERSION
from pipeline.model import Grid, Look, Scene, Site, Track

CASES: dict[str, dict[str, object]] = {
    "plain": {},
    "16 bit pan": {"bits": 16, "colour": False},
    "snow": {"snow": True},
    "overcast": {"overcast": True},
    "half contrast": {"contrast": 0.5},
    "tracks 1 m off": {"off_m": 1.0},
    "any colour": {"any_colour": True},
    "gaps of 0.8 m": {"gap_m": 0.8},
    "single track": {"tracks": 1},
    "no rails": {"rails": False},
    "bare, flat cars": {"rails": False, "shadows": False, "flat": True, "any_colour": True},
    "noise of 8": {"noise": 8.0},
    "tracks 6.5 m apart": {"spacing_m": 6.5},
    "dark tone curve": {"gamma": 1.6},
}
RELIEF_CASES: dict[str, dict[str, object]] = {
    "relief": {},
    "overcast": {"overcast": True},
    "snow": {"snow": True},
    "low sun": {"sun_deg": (18.0, 25.0)},
    "half contrast": {"haze": 0.5},
    "16 bit pan": {"bits": 16, "colour": False},
    "tracks 1 m off": {"off_m": 1.0},
}
# Rows of trailers, containers and tanks, and lanes: (image, from (column, row), to (column, row)).
ANGLES = (0.0, 25.0, 45.0, 90.0, 135.0, 155.0)
TIMES = (1, 2, 5)  # by which pixels of look-alikes are averaged


def look_alike(path: Path, times: int = 1) -> tuple[Look, list[Site]]:
    """Return an image as a look and, for lack of a drawn line, a site for each of many lines through it.

    The image is 77 m wide, and less than 90 m of track is refused as too short to be judged. So it is continued by
    its own mirror image to 153 m, and lines of up to 150 m run through that.
    """
    with rasterio.open(path) as image:
        values = image.read().astype(np.float32)
    values = np.pad(values, ((0, 0), (0, values.shape[1]), (0, values.shape[2])), mode="symmetric")
    rows, columns = (size // times for size in values.shape[1:])
    values = values[:, : rows * times, : columns * times]
    values = values.reshape(len(values), rows, times, columns, times).mean(axis=(2, 4))
    gsd_m = 0.3 * times
    grid = Grid("EPSG:32652", (gsd_m, 0, 530_000.0, 0, -gsd_m, 4_700_000.0), columns, rows)
    scene = Scene(path.stem, "test", "vhr", "UCM", datetime(2023, 10, 5, 2, tzinfo=UTC), gsd_m, ())
    look = Look(
        "alike", scene, grid, ("red", "green", "blue")[: len(values)], values, np.ones((rows, columns), bool), 1.0
    )
    west, south, east, north = grid.bounds
    frame = box(west, south, east, north)
    sites = []
    for angle in np.deg2rad(ANGLES):
        along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
        for offset in np.arange(-48, 49, 8.0):
            middle = np.array([(west + east) / 2, (south + north) / 2]) + across * offset
            line = LineString([middle - 75 * along, middle + 75 * along]).intersection(frame)
            if line.length > 95:
                track = Track("t1", "Row", line, "yard", provisional=False)
                sites.append(Site("alike", "Look-alike", grid.crs, frame, (track,)))
    return look, sites


def told(
    name: str,
    draw: Callable[..., PlainScene | ReliefScene],
    cases: dict[str, dict[str, object]],
    gsd_m: float,
    seed: int,
    scenes: int,
) -> None:
    """Print the figures of a renderer's cases at one ground sampling, and what its empty yards are counted as."""
    for case, extra in cases.items():
        rows = []
        for index in range(scenes):
            most = 22 if case == "single track" else 120
            cars = int(np.random.default_rng([seed, index]).integers(5, most))
            scene = draw(seed + index, gsd_m, cars, **extra)
            rows.append(judge(scene.look, scene.site, scene.truth))
        figures = " ".join(f"{key} {value:.3f}" for key, value in summary(rows).items())
        print(f"{name} {case:16s} {figures}", flush=True)
    empty = [judge(s.look, s.site, s.truth) for s in (draw(seed + 90 + i, gsd_m, 0) for i in range(4))]
    print(f"{name} empty yards: found {[row.refused or row.found for row in empty]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seed", type=int, default=500)
    parser.add_argument("--scenes", type=int, default=6)
    parser.add_argument("--only", choices=("plain", "relief", "alike"), default="")
    options = parser.parse_args()
    print(
        f"python {platform.python_version()}, numpy {np.__version__}, resolved {METHOD_VERSION}, seed {options.seed}"
    )
    for renderer, draw, cases in (("plain", plain_scene, CASES), ("relief", relief_scene, RELIEF_CASES)):
        if options.only in ("", renderer):
            for gsd_m in (0.5, 1.0, 1.5):
                told(f"{renderer} renderer, {gsd_m} m", draw, cases, gsd_m, options.seed, options.scenes)
    if options.only not in ("", "alike"):
        return
    if options.data is None:
        print("no --data: look-alikes left out")
        return
    for times in TIMES:
        for path in sorted(options.data.glob("*.tif")):
            look, sites = look_alike(path, times)
            counts = []
            for site in sites:
                row = judge(look, site, [])
                counts.append(-1 if row.refused else row.found)
            found = np.array(counts)
            worst = int(found.max())
            share = float((found <= 1).mean())
            name = path.stem if times == 1 else f"{path.stem} at {look.grid.gsd_m:.1f} m"
            print(
                f"{name}: {len(sites)} lines, refused {int((found < 0).sum())}, most cars on a line {max(worst, 0)}, "
                f"share of lines with at most 1 or refused {share:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
