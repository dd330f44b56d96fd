"""How often the radiometric offset of Sentinel-2 is told right from the pixels of real dates.

`python tests/benchmarks/bench_imagery_offset.py [CUBE.nc]`; without an argument the 48 dates kept with the tests.
Each date over forest in Romania (2015-2021, before the offset existed) is given as it is and with 1000 added, each
with metadata that are right and wrong in every way that catalogues are. Windows of 64 by 64 pixels, smaller than a
yard's, are judged. Thresholds were chosen on the upper left one; then the haze limit was lowered and snow counted as
haze after two wrong dates on the others, which are reported apart but are no longer unseen. There is no water and no
short-wave infrared in this cube, both of which a yard's window has: these are the hard cases.

Whether the place's own past could settle what a look's own pixels leave open is tried at the end and not done: the
floors of the bands against those of earlier undoubted dates of the season, believed only where they agree with the
metadata. Thin cloud lifts all floors as an offset does.
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

from support.real_cube import SMALL, Cube, load_cube  # noqa: E402

from pipeline.imagery.radiometry import judge_offset  # noqa: E402
from pipeline.model import Asset, Chip, Grid, Item, Scene  # noqa: E402

OFFSET = 0.1  # reflectance
FLOOR = 0.05  # share of the clear pixels that are darker
SEASON_DAYS, LEAST_PAST = 40, 3  # earlier dates within so many days of the season; fewer say nothing

NAMES = ("blue", "green", "red", "nir")
SIDE = 64


CASES = (  # title, numbers carried, declared, catalogue's word on removal, baseline
    ("not carried, not declared", 0, 0.0, None, "02.14"),
    ("not carried, declared as removed", 0, -0.1, True, "05.09"),
    ("not carried, declared", 0, -0.1, None, "05.09"),
    ("not carried, said not to be removed", 0, -0.1, False, "05.09"),
    ("carried and declared", 1000, -0.1, None, "05.09"),
    ("carried, declared as not removed", 1000, -0.1, False, "05.09"),
    ("carried, said to be removed", 1000, -0.1, True, "05.09"),
    ("carried, undeclared", 1000, 0.0, None, "05.09"),
    ("carried, undeclared, old baseline", 1000, 0.0, None, "02.14"),
)
MAX_AMBIGUOUS = 0.20  # of clear dates; a look that is ambiguous is lost


def chip_of(
    day: str,
    values: np.ndarray,
    classes: np.ndarray,
    grid: Grid,
    declared: float,
    applied: bool | None,
    baseline: str,
) -> Chip:
    """Return one window as a chip."""
    when = datetime.fromisoformat(day).replace(tzinfo=UTC)
    assets = tuple(Asset(name, name, 1e-4, declared, 0.0) for name in NAMES)
    item = Item(
        day, "sentinel-2-l2a", "real", baseline, when, assets, offset_applied=applied, sensor="sentinel-2"
    )  # fmt: skip
    scene = Scene(day, "real", "sentinel-2", "S2A", when, 10.0, (item,))
    valid = (values > 0).all(axis=0)
    window = Grid(grid.crs, grid.transform, classes.shape[1], classes.shape[0])
    return Chip("real", scene, window, NAMES, values, valid, classes, (1e-4,) * 4, (declared,) * 4)


def floors_of(values: np.ndarray, classes: np.ndarray) -> np.ndarray | None:
    """Return the floor of each band over clear ground, reflectance; None where too little is clear."""
    use = (values > 0).all(axis=0) & np.isin(classes, (2, 4, 5, 6, 7, 11))
    return np.quantile(values[:, use], FLOOR, axis=1) / 1e4 if use.sum() >= SIDE * SIDE / 4 else None


def word_of_the_past(floors: np.ndarray | None, past: list[tuple[int, np.ndarray]], day: int) -> bool | None:
    """Return whether floors stand an offset above those of the past's season; None when it does not say."""
    near = [found for when, found in past if abs((when - day + 182) % 365 - 182) <= SEASON_DAYS]
    if floors is None or len(near) < LEAST_PAST:
        return None
    rise = floors - np.median(near, axis=0)
    if (np.abs(rise) < OFFSET / 2).all():
        return False
    return True if (np.abs(rise - OFFSET) < OFFSET / 2).all() else None


def try_the_past(cube: Cube, corners: list[tuple[int, int]]) -> Counter[str]:
    """Tally what the past would say where a look's own pixels say nothing and the metadata agree with the past."""
    tally: Counter[str] = Counter()
    for r, c in corners:
        cut = np.s_[r : r + SIDE, c : c + SIDE]
        past: list[tuple[int, np.ndarray]] = []  # floors without the offset: the undoubted dates are all right
        for day, values, classes in zip(cube.days, cube.values, cube.classes, strict=True):
            part, doy = values[(slice(None), *cut)], int((day - day.astype("datetime64[Y]")).astype(int))
            plain = floors_of(part, classes[cut])
            doubted = False
            for _, carried, declared, applied, baseline in CASES:
                number = np.where(part > 0, part + carried, 0).astype(np.uint16)
                verdict = judge_offset(
                    chip_of(str(day), number, classes[cut], cube.grid, declared, applied, baseline)
                )
                if "OFFSET_AMBIGUOUS" not in verdict.flags:
                    continue
                doubted = True
                if np.isin(classes[cut], (2, 4, 5, 6, 7, 11)).mean() < 0.6:
                    continue
                word = word_of_the_past(None if plain is None else plain + carried / 1e4, past, doy)
                told = declared < 0 and applied is not True
                agreed = word is not None and word == told
                tally["silent" if not agreed else "right" if word == (carried > 0) else "wrong"] += 1
                if agreed and word != (carried > 0):
                    tally[f"wrong on {day}"] += 1
            if not doubted and plain is not None:
                past.append((doy, plain))
    return tally


def main() -> None:
    """Judge every date and window, and print the tally."""
    cube = load_cube(Path(sys.argv[1]) if len(sys.argv) > 1 else SMALL)
    rows, cols = cube.classes.shape[1:]
    corners = sorted({(r, c) for r in (0, rows - SIDE) for c in (0, cols - SIDE)})
    print(
        f"python {platform.python_version()}, numpy {np.__version__}, rasterio {rasterio.__version__}; no seed needed"
    )
    print(f"{len(cube.days)} dates, windows of {SIDE} x {SIDE} pixels at {corners} (row, column)")
    wrong = ambiguous = clear = 0
    for place, some in (("tuned on", corners[:1]), ("the others", corners[1:])):
        for title, carried, declared, applied, baseline in CASES:
            tally: dict[str, Counter[str]] = {"clear": Counter(), "cloudy": Counter()}
            for day, values, classes in zip(cube.days, cube.values, cube.classes, strict=True):
                for r, c in some:
                    cut = np.s_[r : r + SIDE, c : c + SIDE]
                    part = values[(slice(None), *cut)]
                    number = np.where(part > 0, part + carried, 0).astype(np.uint16)
                    chip = chip_of(str(day), number, classes[cut], cube.grid, declared, applied, baseline)
                    verdict = judge_offset(chip)
                    sky = "clear" if np.isin(classes[cut], (2, 4, 5, 6, 7, 11)).mean() >= 0.6 else "cloudy"
                    right = "right" if verdict.carried == (carried > 0) else "wrong"
                    tally[sky]["ambiguous" if "OFFSET_AMBIGUOUS" in verdict.flags else right] += 1
            for sky, counts in tally.items():
                shown = ", ".join(f"{counts[key]} {key}" for key in ("right", "ambiguous", "wrong"))
                print(f"{place:10} {title:35} {sky:7} {shown}")
                wrong += counts["wrong"]
            ambiguous += tally["clear"]["ambiguous"]
            clear += sum(tally["clear"].values())
    print(f"believed and wrong | asked 0 | seen {wrong}")
    share = ambiguous / max(clear, 1)
    print(
        f"ambiguous, of clear dates | asked at most {MAX_AMBIGUOUS:.0%} | seen {share:.1%} ({ambiguous} of {clear})"
    )
    tally = try_the_past(cube, corners)
    dates = ", ".join(sorted(key.removeprefix("wrong on ") for key in tally if key.startswith("wrong on ")))
    print(
        f"not done: the past's word where it agrees with the metadata would settle {tally['right']} of these rightly "
        f"and {tally['wrong']} wrongly ({dates or 'no date'}), and leave {tally['silent']}"
    )


if __name__ == "__main__":
    main()
