"""How often the radiometric offset of Sentinel-2 is told right from the pixels of real dates.

`python tests/benchmarks/bench_imagery_offset.py [CUBE.nc]`; without an argument the 48 dates kept with the tests.
Each date over forest in Romania (2018-2020, before the offset existed) is given four times: as it is and with 1000
added, each with metadata that are right and wrong. A window of 64 by 64 pixels, as small as a yard's, is judged.
"""

from __future__ import annotations

import platform
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import rasterio

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from support.real_cube import SMALL, load_cube  # noqa: E402

from pipeline.imagery.radiometry import judge_offset  # noqa: E402
from pipeline.model import Asset, Chip, Grid, Item, Scene  # noqa: E402

NAMES = ("blue", "green", "red", "nir")
SIDE = 64


def chip_of(day: str, values: np.ndarray, classes: np.ndarray, grid: Grid, declared: float, baseline: str) -> Chip:
    """Return one window as a chip."""
    when = datetime.fromisoformat(day).replace(tzinfo=UTC)
    assets = tuple(Asset(name, name, 1e-4, declared, 0.0) for name in NAMES)
    item = Item(day, "sentinel-2-l2a", "real", baseline, when, assets, sensor="sentinel-2")
    scene = Scene(day, "real", "sentinel-2", "S2A", when, 10.0, (item,))
    valid = (values > 0).all(axis=0)
    return Chip("real", scene, grid, NAMES, values, valid, classes, (1e-4,) * 4, (declared,) * 4)


def main() -> None:
    """Judge every date and window, and print the tally."""
    cube = load_cube(Path(sys.argv[1]) if len(sys.argv) > 1 else SMALL)
    rows, cols = cube.classes.shape[1:]
    places = [(r, c) for r in range(0, rows - SIDE + 1, SIDE) for c in range(0, cols - SIDE + 1, SIDE)]
    print(
        f"python {platform.python_version()}, numpy {np.__version__}, rasterio {rasterio.__version__}; no seed needed"
    )
    print(f"{len(cube.days)} dates, {len(places)} windows of {SIDE} x {SIDE} pixels a date")
    for title, carried, declared, baseline in (
        ("not carried, not declared", 0, 0.0, "02.14"),
        ("carried and declared", 1000, -0.1, "05.09"),
        ("carried, undeclared", 1000, 0.0, "05.09"),
        ("not carried, declared", 0, -0.1, "05.09"),
    ):
        tally: dict[str, Counter[str]] = {"clear": Counter(), "cloudy": Counter()}
        for day, values, classes in zip(cube.days, cube.values, cube.classes, strict=True):
            for r, c in places:
                cut = np.s_[r : r + SIDE, c : c + SIDE]
                part = values[(slice(None), *cut)]
                number = np.where(part > 0, part + carried, 0).astype(np.uint16)
                verdict = judge_offset(chip_of(str(day), number, classes[cut], cube.grid, declared, baseline))
                sky = "clear" if np.isin(classes[cut], (2, 4, 5, 6, 7, 11)).mean() >= 0.6 else "cloudy"
                right = "right" if verdict.carried == (carried > 0) else "wrong"
                tally[sky]["ambiguous" if "OFFSET_AMBIGUOUS" in verdict.flags else right] += 1
        for sky, counts in tally.items():
            shown = ", ".join(f"{counts[key]} {key}" for key in ("right", "ambiguous", "wrong"))
            print(f"{title:27} {sky:7} {shown}")


if __name__ == "__main__":
    main()
