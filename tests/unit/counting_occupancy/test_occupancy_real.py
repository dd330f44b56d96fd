"""Real Sentinel-2 dates with four bands: the estimator runs, and cars put in are cars found."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from scipy.ndimage import binary_dilation
from shapely.geometry import box
from support.real_cube import BANDS, load_cube

from pipeline.config import CountingSettings, QualitySettings
from pipeline.counting.occupancy import count
from pipeline.counting.occupancy.injection import inject
from pipeline.model import Count, Look, Scene, Site
from pipeline.simulate.yard import make_tracks


def test_cars_put_into_a_real_date_are_found():
    cube = load_cube()
    west, south, east, north = cube.grid.bounds
    middle = ((west + east) / 2, (south + north) / 2)
    tracks = make_tracks("parallel", tracks=6, length_m=400.0, centre=middle, azimuth_deg=75.0)
    site = Site("forest", "Forest in Romania", cube.grid.crs, box(west, south, east, north), tracks)
    looks = []
    for day, values, classes in zip(cube.days, cube.values, cube.classes, strict=True):
        when = datetime.fromisoformat(f"{day}T09:20:00").replace(tzinfo=UTC)
        clear = np.isin(classes, (2, 4, 5, 6, 7)) & (values > 0).all(axis=0)
        clear &= ~binary_dilation(np.isin(classes, (3, 8, 9, 10)), iterations=2)
        if clear.mean() > 0.95:
            scene = Scene(f"S2A_{day}", "real", "sentinel-2", "S2A", when, 10.0, (), "R093")
            values_f = (values * 1e-4).astype(np.float32)
            looks.append(Look(site.name, scene, cube.grid, BANDS, values_f, clear, float(clear.mean())))
    settings, quality = CountingSettings(), QualitySettings()
    rises = []
    for index in range(len(looks) - 3, len(looks)):
        look = looks[index]
        plain = count(look, looks[:index], site, (), settings, quality)
        if not isinstance(plain, Count):
            continue
        assert plain.measures["ndsi_available"] == 0.0
        shift = plain.measures["shift_col_px"], plain.measures["shift_row_px"]
        filled = inject(look, site, 40, np.random.default_rng(index), shift_px=shift)
        answer = count(filled, looks[:index], site, (), settings, quality)
        assert isinstance(answer, Count)
        rises.append(answer.measures["uncalibrated"] - plain.measures["uncalibrated"])
    assert rises and 15 < np.mean(rises) < 80
