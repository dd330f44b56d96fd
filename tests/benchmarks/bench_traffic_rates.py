"""Are false alarms as rare as stated? Quiet years of yards that the calibration did not make.

    python tests/benchmarks/bench_traffic_rates.py [--calibrations 20] [--yards 8] [--years 2.75] [--only NAMES]

The judge knows nothing of the generator. It calibrates, with its own seed, on two years of one yard; fresh yards of
that kind then live through the same recursion, two years for their baselines and the rest counted. That is done for
many calibrations, each with few yards of its own: how a calibration errs is shared by its yards, and the Poisson
interval knows nothing of that. Seeds 1 and 100 to 104 were looked at while tuning.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import chi2

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline.config import AlarmSettings
from tests.support.traffic_stack import live
from tests.support.traffic_world import Yard

BASE = Yard()
VARIANTS = {
    "plain": BASE,
    "season": replace(BASE, season=0.5),
    "drift of bias": replace(BASE, drift=0.05),
    "doubled dwell": replace(BASE, dwell_days=14.0),
    "half the looks": replace(BASE, looks_a_year=28.5),
    "trains that come and go": replace(BASE, family="trains"),
    "lognormal": replace(BASE, family="lognormal"),
}


def interval(events: int, years: float) -> tuple[float, float]:
    """Return the exact 95 % Poisson interval of a yearly rate."""
    low = chi2.ppf(0.025, 2 * events) / 2 if events else 0.0
    return float(low / years), float(chi2.ppf(0.975, 2 * events + 2) / 2 / years)


def main() -> None:
    """Run the variants and print asked and seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calibrations", type=int, default=20)
    parser.add_argument("--yards", type=int, default=8)
    parser.add_argument("--years", type=float, default=2.75)
    parser.add_argument("--only", default="", help="names of variants, with commas between")
    parser.add_argument("--seed", type=int, default=1, help="of the checked yards; the calibration has its own")
    args = parser.parse_args()
    settings = AlarmSettings()
    print(f"Python {platform.python_version()}, numpy {np.__version__}; check seed {args.seed}, calibration seed")
    print(f"{settings.calibration_seed}, {settings.calibration_years} years each;", end=" ")
    print(f"{args.calibrations} calibrations of {args.yards} yards", flush=True)
    for name, yard in VARIANTS.items():
        if args.only and name not in args.only.split(","):
            continue
        began = time.process_time()
        tally, years, inside, counts = np.zeros(3, dtype=int), 0.0, 0, 0
        for c in range(args.calibrations):
            seed = 1_000_000 * args.seed + 10 * c
            lived = live(yard, settings, seed, yards=args.yards, years=args.years)
            made, best = lived.calibration, lived.episodes()
            tally += [int((best >= level).sum()) for level in (made.watch, made.alert, made.high)]
            years, inside, counts = years + lived.years, inside + lived.inside, counts + lived.counts
        print(f"\n{name}: {years:.0f} fresh quiet years ({time.process_time() - began:.0f} s of CPU)")
        budgets = (settings.watch_per_year, settings.budget_per_year, settings.high_per_year)
        for tier, events, budget in zip(("watch", "alert", "high"), tally.tolist(), budgets, strict=True):
            low, high = interval(events, years)
            word = "inside" if low <= budget <= high else "OUTSIDE"
            print(f"  {tier:5}: asked {budget:g}, seen {events / years:.3f} ({low:.3f} to {high:.3f}): {word}")
        print(f"  90 % band holds {inside / counts:.1%} of {counts} counts; asked 88 to 92 %", flush=True)


if __name__ == "__main__":
    main()
