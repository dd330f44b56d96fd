"""Are false alarms as rare as stated? Quiet years of yards that the calibration did not make.

    python tests/benchmarks/bench_traffic_rates.py [--yards 20] [--years 20] [--only NAME] [--seed 1]

Each yard lives two years for its baseline and then is counted. The judge knows nothing of the generator: it
calibrates on the looks that it has seen, with its own seed.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
from scipy.stats import chi2

from pipeline.config import AlarmSettings
from pipeline.model import Tier
from pipeline.traffic import judge
from tests.support.traffic_world import START, Yard, a_series, a_site

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
WARM = timedelta(days=731)


def interval(events: int, years: float) -> tuple[float, float]:
    """Return the exact 95 % Poisson interval of a yearly rate."""
    low = chi2.ppf(0.025, 2 * events) / 2 if events else 0.0
    return float(low / years), float(chi2.ppf(0.975, 2 * events + 2) / 2 / years)


def main() -> None:
    """Run the variants and print asked and seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--yards", type=int, default=20)
    parser.add_argument("--years", type=float, default=20.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=1, help="of the checked yards; the calibration has its own")
    parser.add_argument("--calibration-years", type=int, default=AlarmSettings().calibration_years)
    args = parser.parse_args()
    settings = AlarmSettings(calibration_years=args.calibration_years)
    print(f"Python {platform.python_version()}, numpy {np.__version__}; check seed {args.seed}, calibration seed")
    print(f"{settings.calibration_seed}, {settings.calibration_years} years each; {args.yards} yards of", end=" ")
    print(f"{args.years:g} counted years; budgets a year: watch")
    print(f"{settings.watch_per_year}, alert {settings.budget_per_year}, high {settings.high_per_year}", flush=True)
    for name, yard in VARIANTS.items():
        if args.only and args.only != name:
            continue
        began, tally = time.perf_counter(), dict.fromkeys(Tier, 0)
        inside = total = calibrations = 0
        years = 0.0
        pit = np.zeros(10)
        for k in range(args.yards):
            rows = a_series(yard, 2.0 + args.years, 1_000_000 * args.seed + k)
            with tempfile.TemporaryDirectory() as cache:
                found = judge(a_site(), rows, settings, cache_dir=Path(cache))
            calibrations += found.calibration.calibrations
            first = START + WARM
            years += (rows[-1].observed_at - first).total_seconds() / 86400 / 365.2425
            for surge in found.surges:
                if surge.first_alarm_at >= first:
                    tally[surge.tier] += 1
            band = {b.observed_at: b for b in found.baselines if b.observed_at >= first}
            for row in rows:
                if row.count is None or row.observed_at not in band or row.count.detection_limit >= 10:
                    continue
                total += 1
                at = band[row.observed_at]
                inside += at.low <= row.count.railcars <= at.high
            pit += np.array(found.calibration.pit_histogram)
        spent = time.perf_counter() - began
        print(f"\n{name}: {years:.0f} quiet years, {calibrations} calibrations, {spent:.0f} s")
        at_least = {
            Tier.WATCH: (sum(tally.values()), settings.watch_per_year),
            Tier.ALERT: (tally[Tier.ALERT] + tally[Tier.HIGH], settings.budget_per_year),
            Tier.HIGH: (tally[Tier.HIGH], settings.high_per_year),
        }
        for tier, (events, budget) in at_least.items():
            low, high = interval(events, years)
            verdict = "inside" if low <= budget <= high else "OUTSIDE"
            seen = f"{events / years:.3f} ({low:.3f} to {high:.3f})"
            print(f"  {tier.value:5}: asked {budget:g}, seen {seen}: {verdict}")
        print(f"  90 % band holds {inside / total:.1%} of {total} looks (bounds apart); asked 88 to 92 %")
        print("  PIT histogram: " + " ".join(f"{v / args.yards:.3f}" for v in pit), flush=True)


if __name__ == "__main__":
    main()
