"""How many surges raise an alert, and how soon? Surges put into simulated yards that the calibration did not make.

    python tests/benchmarks/bench_traffic_power.py [--yards 12] [--years 16] [--only 20x60] [--seed 2] [--added]

Found means: an alarm of tier alert or high on a look of the surge. A surge is a level: the yard holds a Poisson
number about so many railcars, or its quiet traffic where that is more; with --added it comes on top instead.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from statistics import median

import numpy as np

from pipeline.config import AlarmSettings
from pipeline.model import Tier
from pipeline.traffic import judge
from tests.support.traffic_world import START, Rise, Yard, a_series, a_site

CASES = {"73x14": (73.0, 14.0), "40x60": (40.0, 60.0), "30x60": (30.0, 60.0), "20x60": (20.0, 60.0)}
ASKED = {
    "73x14": "0.85 at the first look",
    "40x60": "nothing (SCIENCE section 4 has 0.99)",
    "30x60": "0.95, median of 12 d",
    "20x60": "0.85, median of 21 d",
}
WARM, APART = 800.0, 420.0  # days


def main() -> None:
    """Run the cases and print asked and seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--yards", type=int, default=12)
    parser.add_argument("--years", type=float, default=16.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--added", action="store_true")
    parser.add_argument("--calibration-years", type=int, default=AlarmSettings().calibration_years)
    args = parser.parse_args()
    settings = AlarmSettings(calibration_years=args.calibration_years)
    print(f"Python {platform.python_version()}, numpy {np.__version__}; check seed {args.seed}, calibration seed")
    print(f"{settings.calibration_seed}, {settings.calibration_years} years each; alert budget", end=" ")
    print(f"{settings.budget_per_year} a year; surges as")
    print("an addition to quiet traffic" if args.added else "a level", flush=True)
    for name, (cars, days) in CASES.items():
        if args.only and args.only != name:
            continue
        began = time.perf_counter()
        surges = looked = found = at_first = 0
        delays = []
        for k in range(args.yards):
            rng = np.random.default_rng([args.seed, k])
            starts = np.arange(WARM, args.years * 365.0 - 100, APART) + rng.uniform(0, 60)
            rises = [Rise(float(at), cars, days) for at in starts]
            rows = a_series(Yard(), args.years, 1_000_000 * args.seed + k, rises, added=args.added)
            with tempfile.TemporaryDirectory() as cache:
                made = judge(a_site(), rows, settings, cache_dir=Path(cache))
            alarms = [a.observed_at for a in made.alarms if a.tier in (Tier.ALERT, Tier.HIGH)]
            for rise in rises:
                first, last = START + timedelta(days=rise.day), START + timedelta(days=rise.day + rise.days)
                looks = [row.observed_at for row in rows if first <= row.observed_at < last]
                hits = [at for at in alarms if first <= at < last]
                surges += 1
                looked += bool(looks)
                found += bool(hits)
                if hits:
                    delays.append((min(hits) - first).total_seconds() / 86400)
                    at_first += min(hits) == looks[0]
        spent = time.perf_counter() - began
        print(f"\n{name}: {surges} surges, {looked} had a look ({spent:.0f} s); asked {ASKED[name]}")
        print(f"  found {found / looked:.3f}, at the first look {at_first / looked:.3f}", end="")
        print(f", median after {median(delays):.1f} d" if delays else "", flush=True)


if __name__ == "__main__":
    main()
