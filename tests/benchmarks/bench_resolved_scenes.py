"""Resolved counting on unseen yards: the acceptance rows of single cars and of 3 m.

Run as `python tests/benchmarks/bench_resolved_scenes.py [--scenes 24] [--hard 12] [--seed 9000] [--only 0.5,1.0]`.
The yards are S-bends with tracks that drift apart; nothing was trained or tuned on their seeds or shapes.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path

import numpy as np
import scipy

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.fine_yards import Judged, judge, summary, true_cars, unseen_scene

from pipeline.counting.resolved import METHOD_VERSION
from pipeline.model import RailcarKind
from pipeline.simulate.fine import fine_look
from pipeline.simulate.fine_conditions import HARD

PLAIN = {0.5: (0.015, 0.98), 1.0: (0.03, 0.97), 1.5: (0.05, 0.95), 3.0: (None, None)}


def run(seed: int, number: int, gsd_m: float, hard: str) -> list[Judged]:
    rows = []
    for index in range(number):
        scene = unseen_scene(seed, index, gsd_m, hard)
        rows.append(judge(fine_look(scene), scene.site, true_cars(scene)))
    return rows


def line(name: str, figures: dict[str, float]) -> str:
    told = " ".join(
        f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}" for key, value in figures.items()
    )
    return f"{name:28s} {told}"


def recalls(rows: list[Judged]) -> str:
    out = []
    for kind in RailcarKind:
        hits = sum(a is kind for row in rows for a, _ in row.kinds)
        lost = sum(a is kind for row in rows for a in row.missed_kinds)
        if hits + lost:
            out.append(f"{kind.value} {hits / (hits + lost):.3f}")
    return "recall by kind: " + ", ".join(out)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scenes", type=int, default=24)
    parser.add_argument("--hard", type=int, default=12)
    parser.add_argument("--seed", type=int, default=9000)
    parser.add_argument("--only", default="")
    parser.add_argument("--conditions", default=",".join(HARD))
    options = parser.parse_args()
    print(f"python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}")
    print(
        f"resolved {METHOD_VERSION}, seed {options.seed}, "
        f"{options.scenes} plain scenes and {options.hard} of each hard condition, 5-150 cars"
    )
    verdicts = []
    for gsd_m, (mape, f1) in PLAIN.items():
        if options.only and str(gsd_m) not in options.only.split(","):
            continue
        started = time.process_time()
        pool = []
        for hard in options.conditions.split(","):
            asked = options.hard if gsd_m <= 1.0 else options.hard // 3
            number = options.scenes if hard == "plain" else asked
            rows = run(options.seed, number, gsd_m, hard)
            pool += rows
            figures = summary(rows)
            print(line(f"{gsd_m} m {hard}", figures), flush=True)
            if hard == "plain":
                print(recalls(rows))
                if mape is not None and f1 is not None:
                    verdicts.append((f"{gsd_m} m MAPE", f"<= {mape}", figures["mape"], figures["mape"] <= mape))
                    verdicts.append((f"{gsd_m} m F1", f">= {f1}", figures["f1"], figures["f1"] >= f1))
                if gsd_m == 0.5:
                    verdicts.append(("0.5 m kinds macro F1", ">= 0.85", figures["kinds"], figures["kinds"] >= 0.85))
            elif gsd_m <= 1.0:
                refused = figures["refused"] == len(rows)
                seen = figures.get("mape", float("nan"))
                verdicts.append((f"{gsd_m} m {hard} MAPE", "<= 0.07 or refused", seen, refused or seen <= 0.07))
        figures = summary(pool)
        print(line(f"{gsd_m} m all", figures))
        seen = figures["coverage"]
        verdicts.append((f"{gsd_m} m coverage of the 90 % interval", "0.87 to 0.93", seen, 0.87 <= seen <= 0.93))
        print(f"{gsd_m} m: {time.process_time() - started:.0f} s of processor time")
    print("\nwhat | asked | seen | met")
    for what, asked, seen, met in verdicts:
        print(f"{what} | {asked} | {seen:.4f} | {'yes' if met else 'NO'}")


if __name__ == "__main__":
    main()
