"""A small archive on disk that a round can be walked over: ten looks of the simulated yard, one of them corrupt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from pipeline.simulate.catalogue import Acquisition, write_acquisition, write_catalogue
from pipeline.simulate.demo_site import SITE_NAME, demo_site, write_configuration

FIRST = datetime(2023, 3, 4, 2, 20, 30, tzinfo=UTC)
LOOKS = 10
CORRUPT = 6
SITE = SITE_NAME


def item_id(number: int) -> str:
    return f"S2{'AB'[number % 2]}_52TFN_{FIRST + timedelta(days=5 * number):%Y%m%d}_0_L2A"


def write_world(folder: Path, looks: int = LOOKS) -> Path:
    """Write `folder/catalogue` and `folder/config`; return the configuration folder."""
    site = demo_site()
    grid = site.grid(10.0)
    rng = np.random.default_rng(5)
    ground = rng.uniform(800, 1600, grid.shape)
    names = [item_id(number) for number in range(looks)]
    for number, name in enumerate(names):
        bands = {
            band: (ground * scale + rng.normal(0, 12, grid.shape)).clip(1, 10000).astype(np.uint16)
            for band, scale in (
                ("blue", 0.7),
                ("green", 0.9),
                ("red", 1.0),
                ("nir", 1.5),
                ("swir16", 1.6),
                ("swir22", 1.4),
            )
        }
        write_acquisition(
            folder / "catalogue",
            grid,
            Acquisition(
                item_id=name,
                observed_at=FIRST + timedelta(days=5 * number),
                platform=f"sentinel-2{'ab'[number % 2]}",
                orbit=103,
                processing_baseline="05.09",
                datatake_id=f"GS2A_{number:06d}",
                updated="2023-12-01T00:00:00Z",
                sun_elevation_deg=45.0,
                sun_azimuth_deg=150.0,
                cloud_cover=3.0,
                offset=0.0,
                offset_applied=True,
            ),
            {**bands, "scl": np.full(grid.shape, 5, np.uint8)},
            old_projection_key=number % 3 == 0,
        )
        if number == CORRUPT:
            red = folder / "catalogue" / "items" / name / "red.tif"
            red.write_bytes(red.read_bytes()[:600])
    write_catalogue(folder / "catalogue", "A test archive", names)
    write_configuration(folder / "config", "../catalogue/catalog.json")
    return folder / "config"
