"""A backfill in one go against living through it, look by look: the same rows, alarms and surges.

python tests/benchmarks/bench_replay.py --years 2 --seed 1
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.round.acquire import acquire_all
from pipeline.round.count import count_site
from pipeline.round.demo import simulate_dir
from pipeline.round.discover import plan_round
from pipeline.round.judge import judge_site
from pipeline.round.progress import Silent
from pipeline.round.workspace import Workspace
from pipeline.simulate.demo_site import SITE_NAME
from pipeline.simulate.plan import plan_looks


def walk(config: Path, home: Path, since: datetime, ends: list[datetime]) -> tuple[str, list[str]]:
    """Walk a round up to each of `ends`; return the store's content and the alarms as they came."""
    given: list[str] = []
    with Workspace.open(config, home) as ws:
        for end in ends:
            plan = plan_round(ws, SITE_NAME, today=end, since=since, until=end, progress=Silent())
            acquire_all(ws, plan, ws.settings_for(SITE_NAME), Silent())
            count_site(ws, SITE_NAME, progress=Silent())
            judge_site(ws, SITE_NAME)
            for alarm in ws.store.alarms(SITE_NAME):
                line = f"{alarm.observed_at:%Y-%m-%d} {alarm.tier} {alarm.statistic} {alarm.rate_per_year:.4f}"
                if line not in given:
                    given.append(line)
        return ws.store.dump(), given


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(f"python {platform.python_version()}; {given.years} simulated years, seed {given.seed}")
    looks = plan_looks(given.years, given.seed)
    since = datetime(looks[0].observed_at.year, 1, 1, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        simulate_dir(work / "sim", given.years, given.seed, Silent())
        config = work / "sim" / "config"
        began = time.perf_counter()
        once, alarms = walk(config, work / "once", since, [looks[-1].observed_at + timedelta(hours=1)])
        middle = time.perf_counter()
        lived, lived_alarms = walk(
            config, work / "lived", since, [look.observed_at + timedelta(hours=1) for look in looks]
        )
        print(f"one go {middle - began:.0f} s, {len(looks)} rounds {time.perf_counter() - middle:.0f} s")
        print("alarms in one go:", *alarms, sep="\n  ")
        print("alarms as they came:", *lived_alarms, sep="\n  ")
        print(f"alarms equal: {alarms == lived_alarms} (asked: True)")
        print(f"stores equal, byte for byte: {once == lived} (asked: True)")


if __name__ == "__main__":
    main()
