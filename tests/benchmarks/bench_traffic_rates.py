"""Are false alarms as rare as stated? Quiet years of simulated yards, judged as in daily use.

    python tests/benchmarks/bench_traffic_rates.py [--yards 94] [--years 6.3] [--only NAMES] [--jobs 2] [--seed 7]

The judge knows nothing of the generator: every yard is fed to `judge` from its first look on, with the calibrations
that it makes on the way from that yard's own looks. The years after the first two, which a baseline is meant to have,
count; the first two stand beside them. A surge counts once, by the highest tier that it reached. Each yard stands
alone, so that the Poisson interval holds; until traffic-3 twenty calibrations served eight yards each, and how a
calibration errs was shared by its yards. Seeds 1, 7, 11 to 13 and 100 to 104 were looked at while tuning.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
from scipy.stats import chi2

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline.config import AlarmSettings
from pipeline.traffic import judge
from tests.support.traffic_world import Yard, a_series, a_site

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
FIRST, YEAR = timedelta(days=730.5), timedelta(days=365.2425)
TIERS = ("watch", "alert", "high")


@dataclass(frozen=True)
class Lived:
    """What became of one quiet yard: before and after its first two years."""

    years: tuple[float, float]  # judged
    surges: tuple[Counter[str], Counter[str]]  # by the highest tier
    inside: int  # counts inside the 90 % band, bounds apart, after the first two years
    counts: int


def live(name: str, years: float, seed: int) -> Lived:
    """Judge one quiet yard from its first look to its last."""
    looks = a_series(VARIANTS[name], years, seed)
    judged = judge(a_site(), looks, AlarmSettings())
    days = [base.observed_at for base in judged.baselines]
    full = looks[0].observed_at + FIRST
    # A bound states zero cars and a limit of 10 or more; it has no number that a band could hold.
    numbers = {
        look.observed_at: look.count.railcars
        for look in looks
        if look.count is not None and look.count.detection_limit < 10 and look.observed_at >= full
    }
    held = [
        base.low <= numbers[base.observed_at] <= base.high for base in judged.baselines if base.observed_at in numbers
    ]
    early, late = Counter[str](), Counter[str]()
    for surge in judged.surges:
        (late if surge.first_alarm_at >= full else early)[str(surge.tier)] += 1
    return Lived(((full - days[0]) / YEAR, (days[-1] - full) / YEAR), (early, late), sum(held), len(held))


def interval(events: int, years: float) -> tuple[float, float]:
    """Return the exact 95 % Poisson interval of a yearly rate."""
    low = chi2.ppf(0.025, 2 * events) / 2 if events else 0.0
    return float(low / years), float(chi2.ppf(0.975, 2 * events + 2) / 2 / years)


def main() -> None:
    """Run the variants and print asked and seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--yards", type=int, default=94)
    parser.add_argument("--years", type=float, default=6.3)
    parser.add_argument("--only", default="", help="names of variants, with commas between")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1, help="of the yards; the calibration has its own")
    args = parser.parse_args()
    settings = AlarmSettings()
    print(f"Python {platform.python_version()}, numpy {np.__version__}; check seed {args.seed}, calibration seed")
    print(f"{settings.calibration_seed}, {settings.calibration_years} years each;", end=" ")
    print(f"{args.yards} yards of {args.years} years")
    names = [name for name in VARIANTS if not args.only or name in args.only.split(",")]
    seeds = [1_000_000 * args.seed + k for k in range(args.yards)]
    with ProcessPoolExecutor(args.jobs) as pool:
        for name in names:
            began = time.monotonic()
            many = list(pool.map(live, [name] * args.yards, [args.years] * args.yards, seeds))
            before, years = (sum(one.years[part] for one in many) for part in range(2))
            print(f"\n{name}: {years:.0f} fresh quiet years ({time.monotonic() - began:.0f} s)")
            budgets = (settings.watch_per_year, settings.budget_per_year, settings.high_per_year)
            for i, (tier, budget) in enumerate(zip(TIERS, budgets, strict=True)):
                early, events = (
                    sum(one.surges[part][reached] for one in many for reached in TIERS[i:]) for part in range(2)
                )
                low, high = interval(events, years)
                word = "inside" if low <= budget <= high else "OUTSIDE"
                told = f"{word}; first two years {early / before:.3f}"
                print(f"  {tier:5}: asked {budget:g}, seen {events / years:.3f} ({low:.3f} to {high:.3f}): {told}")
            inside, counts = sum(one.inside for one in many), sum(one.counts for one in many)
            print(f"  90 % band holds {inside / counts:.1%} of {counts} counts; asked 88 to 92 %", flush=True)


if __name__ == "__main__":
    main()
