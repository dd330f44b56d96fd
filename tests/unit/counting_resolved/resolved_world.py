"""A small simulated yard with a known number of cars, as a look."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.config import CountingSettings, QualitySettings
from pipeline.counting import count_look
from pipeline.model import Count, Look, Refusal, Site
from pipeline.simulate.fine import FineScene, fine_look, render_fine
from pipeline.simulate.fine_conditions import Conditions
from pipeline.simulate.yard import make_tracks, place_cars

CLEAR = Conditions(gsd_m=0.5, clutter=0.3, sun_elevation_deg=40.0, noise=0.004, bands="rgb", bits=8)


def yard_scene(cars: int, seed: int = 11, conditions: Conditions = CLEAR, tracks: int = 5) -> FineScene:
    rng = np.random.default_rng(seed)
    lines = make_tracks(
        "parallel", tracks=tracks, length_m=320.0, centre=(500_000.0, 4_700_000.0), spacing_m=5.3, azimuth_deg=75.0
    )
    return render_fine(lines, place_cars(lines, cars, rng), conditions, rng)


def tell(look: Look, site: Site) -> Count | Refusal:
    return count_look(look, (), site, (), CountingSettings(), QualitySettings())


def counted(scene: FineScene) -> Count:
    result = tell(fine_look(scene), scene.site)
    assert isinstance(result, Count), result
    return result


def with_values(look: Look, values: np.ndarray) -> Look:
    return replace(look, values=values.astype(np.float32))
