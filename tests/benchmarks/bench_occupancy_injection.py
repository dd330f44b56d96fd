"""Injection of simulated railcars into real Sentinel-2 dates.

Run as `python tests/benchmarks/bench_occupancy_injection.py [CUBE.nc] [LOOKS_PER_SUN_CLASS]`.
The cube is that of the wheel nrt 0.2.1 (forest in Romania, bands B2 B3 B4 B8 and SCL, no railway). Without a path
the small cut kept with the tests is used.
"""

from __future__ import annotations

import platform
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_dilation
from shapely.geometry import box

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.real_cube import BANDS, SMALL, load_cube

from pipeline.config import CountingSettings, QualitySettings
from pipeline.counting.occupancy import METHOD_VERSION
from pipeline.counting.occupancy.geometry import yard_of
from pipeline.counting.occupancy.injection import run_injection, summarise
from pipeline.model import Look, Refusal, Scene, Site
from pipeline.simulate.yard import make_tracks

SEED = 1000


def real_looks(path: Path) -> tuple[Site, list[Look]]:
    cube = load_cube(path)
    west, south, east, north = cube.grid.bounds
    length = min(east - west, north - south) * 0.62
    tracks = make_tracks(
        "parallel", tracks=8, length_m=length, centre=((west + east) / 2, (south + north) / 2), azimuth_deg=75.0
    )
    site = Site("forest", "Forest in Romania", cube.grid.crs, box(west, south, east, north), tracks)
    looks = []
    for day, values, classes in zip(cube.days, cube.values, cube.classes, strict=True):
        when = datetime.fromisoformat(f"{day}T09:20:00").replace(tzinfo=UTC)
        clear = np.isin(classes, (2, 4, 5, 6, 7)) & (values > 0).all(axis=0)
        clear &= ~binary_dilation(np.isin(classes, (3, 8, 9, 10)), iterations=2)
        yard = yard_of(site, cube.grid, when.date())
        assert yard is not None
        share = float(clear.ravel()[yard.index].mean())
        if share >= 0.6:
            scene = Scene(f"S2A_{day}", "real", "sentinel-2", "S2A", when, 10.0, (), "R093")
            reflectance = (values * 1e-4).astype(np.float32)
            looks.append(Look(site.name, scene, cube.grid, BANDS, reflectance, clear, share))
    return site, looks


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else SMALL
    per_class = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    site, looks = real_looks(path)
    print(f"occupancy {METHOD_VERSION}; python {platform.python_version()}, numpy {np.__version__}; seed {SEED}; "
          f"{path.name}; {len(looks)} usable looks; bands {', '.join(BANDS)}; no known dates")  # fmt: skip
    start = time.perf_counter()
    rows = list(run_injection(looks, site, [], CountingSettings(), QualitySettings(), per_class=per_class, seed=SEED))
    refused = Counter("|".join(r.count.flags) for r in rows if isinstance(r.count, Refusal) and r.railcars == 0)
    print(f"looks refused as they are: {dict(refused)}")
    for one in summarise(rows):
        low, high = one.alarms.interval
        inside, least, most = one.coverage, *one.coverage.interval
        print(f"{one.sun} sun: {one.looks} looks, {one.refused} trials refused, slope {one.slope:.3f} +- "
              f"{one.slope_sd:.3f}; above the 1 % threshold without a car {one.alarms.hits}/{one.alarms.trials} "
              f"(90 %: {low:.1%}-{high:.1%}); 90 % interval holds {inside.value:.1%} of {inside.trials} "
              f"({least:.1%}-{most:.1%}); limit {one.detection_limit:g} (stated {one.stated_limit:g}); power "
              + ", ".join(f"{n}: {rate.hits}/{rate.trials}" for n, rate in one.power.items()))  # fmt: skip
    whole = summarise(rows)[0]
    low, high = whole.alarms.interval
    print(f"asked slope 1.00 +- 0.05 | seen {whole.slope:.3f}")
    print(f"asked false alarms at 1 % within the binomial interval | seen {whole.alarms.hits}/{whole.alarms.trials}, "
          f"90 %: {low:.1%}-{high:.1%}")  # fmt: skip
    print(f"asked coverage 87-93 % | seen {whole.coverage.value:.1%} of {whole.coverage.trials}")
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
