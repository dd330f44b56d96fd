"""How many surges raise an alert, and how soon? Surges put into simulated yards that the calibration did not make.

    python tests/benchmarks/bench_traffic_power.py [--calibrations 4] [--yards 60] [--only 20x60] [--seed 2]

Found means: a look of the surge reaches the alert level (0.5 false alarms a year). A surge is a level: the yard holds
a Poisson number about so many railcars, or its quiet traffic where that is more. Each yard has one, at a random time
of its third to sixth year. Beside it stands the ceiling: what the optimal sum finds that knows the yard's true law
and the surge's own level (tests/support/traffic_ceiling.py).
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline.config import AlarmSettings
from tests.support.traffic_ceiling import sums, threshold
from tests.support.traffic_stack import live
from tests.support.traffic_world import Rise, Yard

CASES = {"73x14": (73.0, 14.0), "40x60": (40.0, 60.0), "30x60": (30.0, 60.0), "20x60": (20.0, 60.0)}
ASKED = {
    "73x14": "0.85 at the first look",
    "40x60": "no figure (0.99 in SCIENCE section 4)",
    "30x60": "0.95, median at most 12 d",
    "20x60": "0.85, median at most 21 d",
}
YEARS = 4.0  # counted


def main() -> None:
    """Run the cases and print asked and seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calibrations", type=int, default=4)
    parser.add_argument("--yards", type=int, default=60)
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=2)
    args = parser.parse_args()
    settings = AlarmSettings()
    print(f"Python {platform.python_version()}, numpy {np.__version__}; check seed {args.seed}, calibration seed")
    print(f"{settings.calibration_seed}, {settings.calibration_years} years each;", end=" ")
    print(
        f"{args.calibrations} calibrations of {args.yards} yards; alert budget {settings.budget_per_year} a year",
        flush=True,
    )
    for name, (cars, days) in CASES.items():
        if args.only and args.only != name:
            continue
        began, looked, at_first = time.process_time(), 0, 0
        delays: list[float] = []
        ceiling: list[float] = []
        level = threshold(Yard(), cars, settings.budget_per_year, 1_000_000 * args.seed + 7)
        for c in range(args.calibrations):
            seed = 1_000_000 * args.seed + 10 * c
            rng = np.random.default_rng([seed, 5])
            starts = rng.uniform(740.0, (2 + YEARS) * 365.0 - days - 5.0, args.yards)
            rises = [Rise(float(at), cars, days) for at in starts]
            lived = live(Yard(), settings, seed, yards=args.yards, years=YEARS, rises=rises)
            since = lived.days[:, None] - lived.first_day - starts[None, :]
            during = (since >= 0) & (since < days)
            hits = during & (lived.scores >= lived.calibration.alert)
            looked += int(during.any(axis=0).sum())
            found = hits.any(axis=0)
            at_first += int((found & (hits.argmax(axis=0) == during.argmax(axis=0))).sum())
            delays += [float(since[hits[:, k].argmax(), k]) for k in np.flatnonzero(found)]
            when, best = sums(Yard(), cars, 2 + YEARS, args.yards, seed + 1, rises)
            best, when = best[when >= lived.days[0]], when[when >= lived.days[0]]
            when = when[:, None] - lived.first_day - starts[None, :]
            best_hits = (when >= 0) & (when < days) & (best >= level)
            ceiling += [float(when[best_hits[:, k].argmax(), k]) for k in np.flatnonzero(best_hits.any(axis=0))]
        spent, surges = time.process_time() - began, args.calibrations * args.yards
        print(f"\n{name}: {surges} surges, {looked} had a look ({spent:.0f} s of CPU); asked {ASKED[name]}")
        told = f", median after {median(delays):.1f} d" if delays else ""
        print(f"  found {len(delays) / looked:.3f}, at the first look {at_first / looked:.3f}{told}")
        print(f"  ceiling: found {len(ceiling) / looked:.3f}, median after {median(ceiling):.1f} d", flush=True)


if __name__ == "__main__":
    main()
