"""Our weekly detector against Farrington flexible on the 42-scenario benchmark of Noufaily et al. 2013.

Usage: python tests/benchmarks/bench_peer_42.py --data DIR [--quick] [--own SEED], DIR being the folder `surge-peer`.

Definitions, as in R_peer_overall.csv: the tested weeks are 576 to 624; FPR is the share of tested weeks without
current outbreak cases that have an alarm, over all series; POD is the share of series with an alarm between the first
and the last week of their current outbreak. Ours is fitted on weeks 1 to 575 and its thresholds come from simulating
that fit; nothing is read off the tested weeks. The two rates it is run at, 0.005 and 0.018 a week, were chosen on
series of the same design drawn here (`--own` 11, 12 and 21: FPR 0.0038 to 0.0055 and 0.0165 to 0.0173), which share
no draw with the reported ones. A first run on the reported series, with thresholds from quiet weeks alone, gave FPR
0.0059 and 0.0211: too much, from the weeks just after an outbreak. Since then thresholds are simulated with excesses
in the paths; that was settled on the own series, and the two rates stayed.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import scipy
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline.traffic.weekly import WeeklySettings, fit_weekly, watch_weekly

FIRST = 575  # 0-based first tested week
WEEKS = 624
RATES = ((0.005, 0.006), (0.018, 0.020))  # promised by us, allowed
BOOTSTRAPS = 4000
THETA = (0.1, -2.0, 1.5, 0.5, 2.5, 3.75, 5.0)
BETA = (0.0025, 0.005, 0.003, 0.002, 0.001, 0.001, 0.0001)
GAMMA_1 = (0.6, 0.1, 0.2, 0.5, 1.0, 0.1, 0.05)
GAMMA_2 = (0.6, 0.3, -0.4, 0.5, 0.1, -0.1, 0.01)
PHI = (1.5, 2.0, 1.0, 5.0, 3.0, 1.1, 1.2)


@dataclass(frozen=True, eq=False)
class Tested:
    """Series with their tested weeks."""

    counts: NDArray[np.float64]  # (series, 624)
    current: NDArray[np.bool_]  # (series, 49), the week holds current outbreak cases
    during: NDArray[np.bool_]  # (series, 49), from the first to the last of them
    peer_p: NDArray[np.float64] | None  # (series, 49), the peer's p-values
    peer_alarm: NDArray[np.bool_] | None


def benchmark(folder: Path, every: int) -> Tested:
    """Read the benchmark with the peer's answers."""
    series, weekly, outbreaks = (
        pd.concat([pd.read_csv(path) for path in sorted((folder / "bench42").glob(f"{kind}_*.csv*"))])
        for kind in ("series", "weekly", "outbreaks")
    )
    outbreaks = outbreaks.set_index("id")
    names = sorted(series["id"].unique())[::every]
    series["y"] = series["y0"] + series["outbreak"]
    counts = series.pivot(index="id", columns="t", values="y").loc[names].to_numpy(dtype=np.float64)
    wide = {
        column: weekly.pivot(index="id", columns="t", values=column).loc[names].to_numpy()
        for column in ("ob", "FF_alarm", "FF_p")
    }
    week = np.arange(FIRST + 1, WEEKS + 1)[None, :]
    begin, end = (outbreaks.loc[names, key].to_numpy()[:, None] for key in ("start", "end"))
    return Tested(
        counts,
        wide["ob"] > 0,
        (week >= begin) & (week <= end),
        wide["FF_p"].astype(np.float64),
        wide["FF_alarm"] == 1,
    )


def own(seed: int, repetitions: int) -> Tested:
    """Draw series of the same design; `t` is 1-based as in R."""
    t = np.arange(1, WEEKS + 1)
    counts, current, during = [], [], []
    for number in range(42 * repetitions):
        scenario = number % 42
        group, trend, harmonics = scenario // 6, scenario // 3 % 2, scenario % 3
        rng = np.random.default_rng([seed, number])
        log_mean = THETA[group] + trend * BETA[group] * t
        for j in range(1, harmonics + 1):
            angle = 2 * np.pi * j * t / 52
            log_mean = log_mean + GAMMA_1[group] * np.cos(angle) + GAMMA_2[group] * np.sin(angle)
        mean, phi = np.exp(log_mean), PHI[group]
        y = rng.poisson(mean) if phi == 1 else rng.negative_binomial(mean / (phi - 1), 1 / phi)
        k = float(rng.choice([2, 3, 5, 10]))
        for start in rng.choice(np.arange(313, 576), 4, replace=False):
            y = y + _outbreak(rng, int(start), k, mean, phi, 575)
        start = int(rng.integers(576, 625))
        cases = _outbreak(rng, start, float(rng.integers(1, 11)), mean, phi, WEEKS)
        last = int(np.flatnonzero(cases).max()) + 1 if cases.any() else start
        counts.append((y + cases).astype(np.float64))
        current.append(cases[FIRST:] > 0)
        during.append((t[FIRST:] >= start) & (t[FIRST:] <= last))
    return Tested(np.array(counts), np.array(current), np.array(during), None, None)


def _outbreak(
    rng: np.random.Generator, start: int, k: float, mean: NDArray[np.float64], phi: float, last: int
) -> NDArray[np.int64]:
    size = 0
    while size < 2:
        size = int(rng.poisson(k * np.sqrt(phi * mean[start - 1])))
    week = start + np.floor(rng.lognormal(0.0, 0.5, size)).astype(np.int64)
    return np.bincount(week[week <= last] - 1, minlength=WEEKS)


def rates(tested: Tested) -> NDArray[np.float64]:
    """Return our calibrated rate of each tested week, (series, 49)."""
    settings, rate = WeeklySettings(), []
    for y in tested.counts:
        looks = watch_weekly(fit_weekly(y[:FIRST], settings), y, FIRST, settings)
        rate.append([look.rate for look in looks])
    return np.array(rate)


def score(tested: Tested, alarm: NDArray[np.bool_]) -> tuple[float, NDArray[np.bool_]]:
    """Return FPR, and for each series whether its outbreak was detected."""
    return float(alarm[~tested.current].mean()), np.asarray((alarm & tested.during).any(axis=1))


def paired(ours: NDArray[np.bool_], theirs: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Return the difference of two PODs and its 95 % bootstrap interval over series."""
    gap = ours.astype(np.float64) - theirs
    rng = np.random.default_rng(42)
    means = gap[rng.integers(0, len(gap), (BOOTSTRAPS, len(gap)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(gap.mean()), float(low), float(high)


def main() -> None:
    """Run the benchmark and print asked and seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder `surge-peer`")
    parser.add_argument("--own", type=int, metavar="SEED", help="series drawn here instead, for tuning")
    parser.add_argument("--quick", action="store_true", help="a tenth of the series")
    options = parser.parse_args()
    begin = time.perf_counter()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}; "
          f"threshold seed {WeeklySettings().seed}, bootstrap seed 42\n")  # fmt: skip
    if options.own is not None:
        tested = own(options.own, 1 if options.quick else 10)
    elif options.data is not None:
        tested = benchmark(options.data, 10 if options.quick else 1)
    else:
        parser.error("give --data DIR or --own SEED")
    rate = rates(tested)
    print(f"{len(tested.counts)} series, {int((~tested.current).sum())} tested weeks without outbreak cases")
    if tested.peer_alarm is not None and tested.peer_p is not None:
        fpr, found = score(tested, tested.peer_alarm)
        print(f"peer as run by R: FPR {fpr:.4f}, POD {found.mean():.3f} (all repetitions: 0.0060, 0.467)")
    for promised, allowed in RATES:
        fpr, ours = score(tested, rate <= promised)
        print(f"\nours at a promised {promised:g} a week: FPR {fpr:.4f}, POD {ours.mean():.3f}")
        if tested.peer_p is None or tested.peer_alarm is None:
            continue
        # The peer at the same FPR as ours saw, by its own p-value; to the peer's advantage, since its threshold is
        # read off the tested weeks and ours is not.
        same = float(np.quantile(tested.peer_p[~tested.current], fpr))
        peer_fpr, theirs = score(tested, tested.peer_p <= same)
        gap, low, high = paired(ours, theirs)
        print(f"  peer at the same FPR ({peer_fpr:.4f}): POD {theirs.mean():.3f}; ours more by {gap:+.3f} "
              f"({low:+.3f} to {high:+.3f}, 95 %)")  # fmt: skip
        asked, aim = (0.49, 0.52) if allowed == RATES[0][1] else (0.65, 0.67)
        if allowed == RATES[0][1]:
            _, as_run = score(tested, tested.peer_alarm)
            gap, low, high = paired(ours, as_run)
            print(f"  against the peer as run: {gap:+.3f} ({low:+.3f} to {high:+.3f})")
        met = fpr <= allowed and ours.mean() >= asked
        print(f"  asked: FPR <= {allowed:g}, POD >= {asked:g} (aim {aim:g})   seen: {fpr:.4f}, {ours.mean():.3f}   "
              f"{'met' if met else 'NOT met'}")  # fmt: skip
    seconds = time.perf_counter() - begin
    print(f"\nseconds: {seconds:.0f}, {1000 * seconds / len(rate):.0f} ms a series")


if __name__ == "__main__":
    main()
