"""How many surges raise an alert, and how soon? Surges put into simulated yards that are judged as in daily use.

    python tests/benchmarks/bench_traffic_power.py [--surges 120] [--only 20x60] [--seed 2] [--jobs 2]

Each surge has a yard of its own, fed to `judge` from its first look to the end of the surge, with the calibrations
that it makes on the way from that yard's own looks. Found means: the judge gives an alert (0.5 false alarms a year)
during the surge, or has one open. A surge is a level: the yard holds a Poisson number about so many railcars, or its
quiet traffic where that is more; it begins at a random time of the third or fourth year. Beside it stands the
ceiling: what the optimal sum finds that knows the yard's true law and the surge's own level
(tests/support/traffic_ceiling.py).
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline.config import AlarmSettings
from pipeline.model import Tier
from pipeline.traffic import judge
from tests.support.traffic_ceiling import sums, threshold
from tests.support.traffic_world import EPOCH, START, Rise, Yard, a_series, a_site

CASES = {"73x14": (73.0, 14.0), "40x60": (40.0, 60.0), "30x60": (30.0, 60.0), "20x60": (20.0, 60.0)}
ASKED = {
    "73x14": "0.85 at the first look",
    "40x60": "no figure (0.99 in SCIENCE section 4)",
    "30x60": "0.95, median at most 12 d",
    "20x60": "0.85, median at most 21 d",
}
BEGINS = (740.0, 1460.0)  # days after the first look
YEARS = 4.2  # of a yard, for the ceiling


def beginning(seed: int) -> float:
    """Return the day on which the surge of a yard begins."""
    return float(np.random.default_rng([seed, 5]).uniform(*BEGINS))


def found(cars: float, days: float, seed: int) -> tuple[float, float] | None:
    """Return days from a surge's begin to its first look and to its alert, inf for none; None without a look."""
    begin = beginning(seed)
    looks = a_series(Yard(), (begin + days) / 365.2425, seed, [Rise(begin, cars, days)])

    def since(at: datetime) -> float:
        return (at - START).total_seconds() / 86400.0 - begin

    during = [since(look.observed_at) for look in looks if since(look.observed_at) >= 0]
    if not during:
        return None
    judged = judge(a_site(), looks, AlarmSettings())
    strong = (Tier.ALERT, Tier.HIGH)
    never = datetime.max.replace(tzinfo=UTC)
    when = [since(alarm.observed_at) for alarm in judged.alarms if alarm.tier in strong]
    when += [
        0.0
        for surge in judged.surges
        if surge.tier in strong and since(surge.first_alarm_at) < 0 < since(surge.ended_at or never)
    ]
    return during[0], min((at for at in when if at >= 0), default=float("inf"))


def main() -> None:
    """Run the cases and print asked and seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--surges", type=int, default=120)
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    settings = AlarmSettings()
    print(f"Python {platform.python_version()}, numpy {np.__version__}; check seed {args.seed}, calibration seed")
    print(f"{settings.calibration_seed}, {settings.calibration_years} years each;", end=" ")
    print(f"{args.surges} surges a case; alert budget {settings.budget_per_year} a year", flush=True)
    seeds = [1_000_000 * args.seed + k for k in range(args.surges)]
    with ProcessPoolExecutor(args.jobs) as pool:
        for name, (cars, days) in CASES.items():
            if args.only and name not in args.only.split(","):
                continue
            began, size = time.monotonic(), args.surges
            many = [one for one in pool.map(found, [cars] * size, [days] * size, seeds) if one is not None]
            looked, delays = len(many), [at for _, at in many if np.isfinite(at)]
            at_first = sum(at <= first for first, at in many)
            spent = time.monotonic() - began
            print(f"\n{name}: {size} surges, {looked} had a look ({spent:.0f} s); asked {ASKED[name]}")
            told = f", median after {median(delays):.1f} d" if delays else ""
            print(f"  found {len(delays) / looked:.3f}, at the first look {at_first / looked:.3f}{told}")
            part, later = _ceiling(cars, days, seeds, settings.budget_per_year)
            print(f"  ceiling: found {part:.3f}, median after {later:.1f} d", flush=True)


def _ceiling(cars: float, days: float, seeds: list[int], budget: float) -> tuple[float, float]:
    """Return the share of such surges that the optimal sum finds, of those with a look, and its median delay."""
    level = threshold(Yard(), cars, budget, seeds[0] + 7)
    starts = np.array([beginning(seed) for seed in seeds])
    rises = [Rise(float(at), cars, days) for at in starts]
    when, best = sums(Yard(), cars, YEARS, len(seeds), seeds[0] + 1, rises)
    since = when[:, None] - (START - EPOCH).total_seconds() / 86400.0 - starts[None, :]
    during = (since >= 0) & (since < days)
    hits = during & (best >= level)
    delays = [float(since[hits[:, k].argmax(), k]) for k in np.flatnonzero(hits.any(axis=0))]
    return len(delays) / int(during.any(axis=0).sum()), median(delays)


if __name__ == "__main__":
    main()
