"""Every simulator: the same seed gives the same bytes, in another process, whatever that process hashes by."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from pipeline.simulate.coarse import SimplePlan, simulate_series
from pipeline.simulate.fine import render_fine
from pipeline.simulate.fine_conditions import draw_conditions
from pipeline.simulate.plan import plan_looks
from pipeline.simulate.radar import RadarPlan, RadarView, radar_looks
from pipeline.simulate.yard import make_site, make_tracks, place_cars

NOON = datetime(2023, 1, 10, 2, 20, tzinfo=UTC)


def digests(seed: int) -> dict[str, str]:
    """Return a digest of what each simulator makes of a seed."""
    tracks = make_tracks("ladder", tracks=4, length_m=260.0, centre=(500000.0, 4700000.0), azimuth_deg=100.0)
    site = make_site(tracks, "EPSG:32652", margin_m=120.0)
    rng = np.random.default_rng(seed)
    cars = place_cars(tracks, 12, rng)
    fine = render_fine(tracks, cars, draw_conditions(rng, 0.5), rng)
    coarse = list(simulate_series(site, [SimplePlan(NOON, 7), SimplePlan(NOON + timedelta(days=5), 9)], seed))
    view = RadarView("S1A", "R061", 80.0)
    radar = list(radar_looks(site, [RadarPlan(NOON + timedelta(days=12 * k), k, view) for k in range(3)], seed))
    made = {
        "cars": "\n".join(f"{car.railcar} {car.colour.tobytes().hex()}" for car in cars).encode(),
        "fine": fine.values.tobytes() + repr(fine.site.tracks).encode(),
        "coarse": b"".join(look.numbers[name].tobytes() for look in coarse for name in sorted(look.numbers)),
        "classes": b"".join(look.classes.tobytes() for look in coarse),
        "radar": b"".join(look.values.tobytes() for look in radar),
        "plan": repr(plan_looks(2, seed)).encode(),
    }
    return {name: hashlib.sha256(content).hexdigest() for name, content in made.items()}


def test_equal_seeds_give_equal_bytes_in_any_process() -> None:
    code = """
import json, sys
sys.path.insert(0, sys.argv[1])
import test_simulate_seed
print(json.dumps(test_simulate_seed.digests(5)))
"""
    here = digests(5)
    for salt in ("0", "4711"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(Path(__file__).parent)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": salt},
        )
        assert json.loads(done.stdout) == here


def test_another_seed_gives_another_world() -> None:
    one, other = digests(5), digests(6)
    assert [name for name in one if one[name] == other[name]] in ([], ["classes"])  # clear skies may be alike
