"""The Farrington port against R: four package series, a toy, and the 42-scenario benchmark.

Usage: python tests/benchmarks/bench_peer_farrington.py --data DIR [--quick], DIR being the folder `surge-peer` of R's
outputs (surveillance 1.20.3; its README has the commands). Bounds that are counts must be equal; the bound of method
"delta" is a real number and equal to a relative 1e-4, where R stops its iterations. Series that had dates in R are
judged with years counted by date, the others by index; both are printed.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import scipy
import statsmodels

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline.traffic.peers.farrington import FarringtonSettings, FarringtonWeek, farrington

SERIES = ("salmonella_agona", "m5", "salmHospitalized", "salmNewport", "railcar_toy")
BY_DATE = ("salmHospitalized", "salmNewport")  # R had the dates of these; the others count 52 weeks a year
NOUFAILY = FarringtonSettings(years_back=5)
METHODS = {
    "ff_noufaily_nbPlugin": {},
    "ff_noufaily_muan": {"threshold": "muan", "least_cases": 5},
    "ff_classic_delta": {
        "periods": 1, "weights_threshold": 1.0, "weeks_left_out": 3, "p_trend": 0.05, "threshold": "delta",
        "alpha": 0.05, "least_cases": 5,
    },
}  # fmt: skip
BENCH = {
    "FF": NOUFAILY,
    "MUAN": FarringtonSettings(threshold="muan"),
    "ORI": FarringtonSettings(periods=1, weights_threshold=1.0, weeks_left_out=3, p_trend=0.05, threshold="delta"),
}


def agreement(ours: tuple[FarringtonWeek, ...], bound: np.ndarray, alarm: np.ndarray) -> tuple[int, int]:
    """Return how many bounds and how many alarms are equal."""
    mine = np.array([week.bound for week in ours])
    equal = np.isclose(mine, bound, rtol=1e-4, atol=1e-9, equal_nan=True)
    return int(equal.sum()), int((np.array([week.alarm for week in ours]) == (alarm == 1)).sum())


def package_series(folder: Path) -> bool:
    """Compare the five series; return whether all agree."""
    print("series              method                years by   weeks  bounds equal  alarms equal")
    all_equal = True
    for name in SERIES:
        table = pd.read_csv(folder / f"input_{name}.csv")
        days = [date.fromisoformat(day) for day in table["date"]]
        for method, choices in METHODS.items():
            path = folder / f"{name}__{method}.csv"
            if not path.exists():
                print(f"{name:19s} {method:21s} R stopped with an error on this series")
                continue
            theirs = pd.read_csv(path)
            years = int(min(4, (theirs["t"].min() - 4) // 52))
            settings = FarringtonSettings(years_back=years, **choices)  # type: ignore[arg-type]
            for label, dates in (("index", None), ("date", days)):
                ours = farrington(table["observed"].to_numpy(), theirs["t"].to_numpy() - 1, settings, dates)
                bounds, alarms = agreement(ours, theirs["upperbound"].to_numpy(), theirs["alarm"].to_numpy())
                mark = "as R" if (label == "date") == (name in BY_DATE) else ""
                if mark:
                    all_equal &= bounds == alarms == len(theirs)
                print(f"{name:19s} {method:21s} {label:9s} {len(theirs):6d} {bounds:13d} {alarms:13d}  {mark}")
    return all_equal


def benchmark(folder: Path, every: int) -> dict[str, tuple[int, int, int]]:
    """Compare the 42 scenarios; return weeks, equal bounds and equal alarms for each method."""
    series, weekly = (
        pd.concat([pd.read_csv(path) for path in sorted((folder / "bench42").glob(f"{kind}_*.csv*"))])
        for kind in ("series", "weekly")
    )
    counts = {identity: (part["y0"] + part["outbreak"]).to_numpy() for identity, part in series.groupby("id")}
    seen = dict.fromkeys(BENCH, (0, 0, 0))
    for number, (identity, part) in enumerate(weekly.groupby("id")):
        if number % every:
            continue
        for method, settings in BENCH.items():
            if part[f"{method}_alarm"].isna().all():
                continue
            ours = farrington(counts[identity], part["t"].to_numpy() - 1, settings)
            bounds, alarms = agreement(ours, part[f"{method}_ub"].to_numpy(), part[f"{method}_alarm"].to_numpy())
            weeks, b, a = seen[method]
            seen[method] = (weeks + len(part), b + bounds, a + alarms)
    return seen


def main() -> None:
    """Run both comparisons and print asked and seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder `surge-peer`")
    parser.add_argument("--quick", action="store_true", help="every tenth series of the benchmark only")
    options = parser.parse_args()
    begin = time.perf_counter()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}, "
          f"statsmodels {statsmodels.__version__}; nothing is drawn, no seed\n")  # fmt: skip
    equal = package_series(options.data)
    print()
    seen = benchmark(options.data, 10 if options.quick else 1)
    for method, (weeks, bounds, alarms) in seen.items():
        shares = f"bounds equal {bounds / weeks:.4%}, alarms {alarms / weeks:.4%}"
        print(f"42 scenarios, {method:5s} {weeks:6d} weeks: {shares}")
    weeks, bounds, alarms = seen["FF"]
    print(f"\nasked: bound equal on >= 99.9 % of benchmark weeks   seen: {bounds / weeks:.4%} of {weeks}")
    print(f"asked: alarms equal                                  seen: {alarms} of {weeks}")
    print(f"asked: all four package series (and the toy)         seen: {'all equal' if equal else 'NOT all equal'}")
    print(f"seconds: {time.perf_counter() - begin:.0f}")


if __name__ == "__main__":
    main()
