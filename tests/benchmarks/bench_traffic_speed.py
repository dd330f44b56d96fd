"""How long does judging take? Ten years look by look, a calibration, one new look, a second run.

    python tests/benchmarks/bench_traffic_speed.py

CPU seconds stand beside wall seconds: on a busy machine only the former mean anything.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline.config import AlarmSettings
from pipeline.traffic import judge
from tests.support.traffic_world import Rise, Yard, a_series, a_site

T = TypeVar("T")


def timed(name: str, work: Callable[[], T]) -> T:
    """Do some work and print what it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    out = work()
    print(f"{name}: {time.perf_counter() - wall:.2f} s ({time.process_time() - cpu:.2f} s of CPU)", flush=True)
    return out


def main() -> None:
    """Time the judge."""
    load = os.getloadavg()[0]
    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, {os.cpu_count()} cores, load {load:.1f}; seed 3"
    )
    rows = a_series(Yard(), 10.0, 3, [Rise(2500.0, 73.0, 14.0)])
    settings = AlarmSettings()
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        print(f"{len(rows)} looks in ten years")
        first = timed("ten years, nothing cached", lambda: judge(a_site(), rows, settings, cache_dir=cache))
        print(f"  of which {first.calibration.calibrations} calibrations; asked: one at most 60 s, then cached")
        timed("ten years, calibrations cached", lambda: judge(a_site(), rows, settings, cache_dir=cache))
        before = judge(a_site(), rows[:-1], settings, cache_dir=cache)
        after = timed(
            "one new look on ten years",
            lambda: judge(a_site(), rows, settings, given=before.alarms, state=before.state, cache_dir=cache),
        )
        print(f"  asked: at most 0.2 s; equal to judging at once: {after == first}")
        timed(
            "no new look",
            lambda: judge(a_site(), rows, settings, given=after.alarms, state=after.state, cache_dir=cache),
        )
    rows = a_series(Yard(looks_a_year=45.0), 2.0, 3, [Rise(640.0, 70.0, 50.0)])
    with tempfile.TemporaryDirectory() as folder:
        timed(
            "two years as in the demo, nothing cached",
            lambda: judge(a_site(), rows, settings, cache_dir=Path(folder)),
        )


if __name__ == "__main__":
    main()
