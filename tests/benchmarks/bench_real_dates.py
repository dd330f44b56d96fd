"""The 140 real Sentinel-2 dates of the wheel `nrt` (ec-jrc), walked as a backfill: outcomes, surges, time.

The place is a forest without rails, so every count should be about zero and no surge should be `high`.

    python tests/benchmarks/bench_real_dates.py sentinel2_cube_subset_romania_10m.nc
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.real_cube import SITE, load_cube
from support.real_round import real_catalogue

from pipeline.round.workspace import Workspace

ROOT = Path(__file__).parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cube", type=Path, help="netCDF of the wheel nrt, or the small .npz of tests/data")
    cube = load_cube(parser.parse_args().cube)
    print(f"python {platform.python_version()}; {len(cube.days)} dates, {cube.grid.width} x {cube.grid.height} px")
    with tempfile.TemporaryDirectory() as work, real_catalogue(cube, Path(work) / "served") as (config, files):
        home = Path(work) / "home"
        command = [sys.executable, "-m", "flows.cli", "--config", str(config), "--home", str(home), "backfill", SITE]
        command += ["--since", str(cube.days.min()), "--until", str(cube.days.max())]
        began = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        took = time.perf_counter() - began
        print(f"railwatch backfill: exit code {done.returncode}, {took:.0f} s, {len(files.requests)} requests")
        print("\n".join(f"  | {line}" for line in done.stdout.splitlines()[:20]))
        with Workspace.open(config, home) as ws:
            rows = ws.store.observations(SITE)
            surges = ws.store.surges(SITE)
        print(f"rows {len(rows)} (asked: {len(cube.days)}); {dict(Counter(str(row.outcome) for row in rows))}")
        unexplained = [row.scene_id for row in rows if row.count is None and not row.detail]
        print(f"rejected or failed without a reason: {len(unexplained)} (asked: 0)")
        print(f"flags: {dict(Counter(flag for row in rows for flag in row.flags))}")
        counts = [row.count for row in rows if row.count is not None]
        held = sum(count.low <= 0.5 for count in counts)
        print(f"counts {len(counts)}: zero inside the 90 % interval in {held}")
        tiers = Counter(str(surge.tier) for surge in surges)
        print(f"surges by tier: {dict(tiers)}; high {tiers.get('high', 0)} (asked: 0)")


if __name__ == "__main__":
    main()
