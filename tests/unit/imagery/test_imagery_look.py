"""What one chip lets us see: clear pixels, the track area, and the flags with their reasons."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from shapely.geometry import LineString, box
from support.imagery_world import BANDS, acquisition, in_site, numbers, reflectance, small_site

from pipeline.config import QualitySettings
from pipeline.imagery.quality import look_at, track_area
from pipeline.model import Asset, Chip, Grid, Item, Look, Scene, Site, Track, Zone

SITE = small_site()
GRID = SITE.grid(10.0)
TRACK_ROWS = slice(22, 26)  # of the grid


def chip(seed: int = 9, kind: str = "mixed") -> Chip:
    bands, classes = reflectance(seed, kind)
    dn = numbers(bands, 0)
    what = acquisition()
    assets = tuple(Asset(name, f"{name}.tif", 1e-4) for name in BANDS)
    item = Item(what.item_id, "sentinel-2-l2a", "made", "03.01", what.observed_at, assets, sensor="sentinel-2")
    scene = Scene("S2A_20231006_R103", "made", "sentinel-2", "S2A", what.observed_at, 10.0, (item,), "R103")
    values = in_site(np.stack([dn[name] for name in BANDS])).copy()
    valid = np.ones(GRID.shape, dtype=bool)
    return Chip("small", scene, GRID, BANDS, values, valid, in_site(classes).copy(), (1e-4,) * 5, (0.0,) * 5)


def look(found: Chip, site: Site = SITE, **settings: Any) -> Look:
    return look_at(found, site, QualitySettings(**settings))


def test_a_clear_chip_carries_no_flag() -> None:
    seen = look(chip())
    assert (seen.clear_fraction, seen.flags, seen.detail) == (1.0, (), "")
    assert seen.values.dtype == np.float32


def test_the_track_area_lies_along_the_tracks_that_exist() -> None:
    area, inside = track_area(SITE, GRID, date(2023, 10, 6))
    rows, cols = np.nonzero(area)
    _, top = GRID.to_pixel(0, 4698600.0 - 400)
    assert inside == 1.0
    assert set(rows) <= {int(top) - 1, int(top), int(top) + 1}
    assert 55 <= len(set(cols)) <= 62  # 600 m
    gone = replace(SITE, tracks=tuple(replace(track, valid_to=date(2023, 1, 1)) for track in SITE.tracks))
    assert not track_area(gone, GRID, date(2023, 10, 6))[0].any()


@pytest.mark.parametrize("kind", [8, 9, 10, 3])
def test_cloud_or_shadow_over_half_the_tracks_rejects_with_its_share(kind: int) -> None:
    found = chip()
    found.classes[10:40, :45] = kind
    found.values[:, 10:40, :45] = 4000 if kind != 3 else 300
    seen = look(found)
    assert "CLOUDY" in seen.flags
    assert 0.3 < seen.clear_fraction < 0.6
    assert f"{100 * seen.clear_fraction:.1f} %" in seen.detail
    assert "60 %" in seen.detail


def test_cloud_beside_the_tracks_does_not_matter_and_over_a_few_is_said() -> None:
    found = chip()
    found.classes[:8] = 9
    found.values[:, :8] = 5000
    assert look(found).flags == ()
    found.classes[10:40, :20] = 9
    found.values[:, 10:40, :20] = 5000
    assert look(found).flags == ("PARTLY_CLEAR",)


def test_the_cloud_mask_is_grown_by_metres() -> None:
    found = chip()
    found.classes[:, :30] = 9
    found.values[:, :, :30] = 5000
    for grow, column in ((0.0, 30), (20.0, 32), (50.0, 35)):
        clear = look(found, cloud_dilate_m=grow).clear
        assert not clear[24, :column].any()
        assert clear[24, column:].all()


def test_a_lone_bright_roof_is_not_a_cloud_but_a_small_cloud_with_its_shadow_is() -> None:
    found = chip()
    found.classes[22:26, 40:45] = 9  # 40 m by 50 m
    found.values[:, 22:26, 40:45] = 5000
    assert look(found).clear_fraction == 1.0
    found.classes[30:34, 44:49] = 3
    assert look(found).clear_fraction < 0.9


def test_ground_too_dark_for_a_cloud_is_not_one() -> None:
    found = chip()
    found.classes[15:35] = 8  # Sen2Cor's clouds over bright ballast; the pixels are darker than any cloud
    assert look(found).clear_fraction == 1.0


def test_snow_taken_for_cloud_is_snow() -> None:
    found = chip(kind="snow")
    found.classes[:] = 9
    seen = look(found)
    assert seen.clear_fraction == 1.0
    assert "SNOW" in seen.flags
    assert "Snow lies on the tracks" in seen.detail


def test_snow_on_the_hills_alone_is_no_snow() -> None:
    found = chip()
    snow = chip(kind="snow")
    found.values[:, :10] = snow.values[:, :10]
    assert "SNOW" not in look(found).flags


def test_no_data_constant_outside_provisional_canopy_and_date() -> None:
    empty = chip()
    empty = replace(empty, valid=np.zeros(GRID.shape, dtype=bool))
    assert "NO_DATA" in look(empty).flags
    flat = chip()
    flat.values[:] = 700
    assert "CONSTANT_IMAGE" in look(flat).flags
    away = replace(SITE, tracks=(Track("far", "Far", LineString([(0, 0), (100, 0)]), "yard", provisional=False),))
    assert "TRACKS_OUTSIDE" in look(chip(), away).flags
    sketched = replace(SITE, tracks=tuple(replace(track, provisional=True) for track in SITE.tracks))
    assert look(chip(), sketched).flags == ("TRACKS_PROVISIONAL",)
    roof = Zone("canopy", box(632300, 4698190, 632500, 4698210), valid_from=date(2023, 1, 1))
    assert look(chip(), replace(SITE, zones=(roof,))).flags == ("CANOPY",)
    later = replace(roof, valid_from=date(2024, 1, 1))
    assert look(chip(), replace(SITE, zones=(later,))).flags == ()
    unsure = chip()
    unsure = replace(unsure, scene=replace(unsure.scene, date_uncertain=True))
    assert look(unsure).flags == ("DATE_UNCERTAIN",)


def test_tracks_beyond_the_image_count_as_unseen() -> None:
    found = chip()
    half = Grid(GRID.crs, GRID.transform, 40, GRID.height)  # the image ends in the middle of the tracks
    cut = replace(
        found, grid=half, values=found.values[:, :, :40], valid=found.valid[:, :40], classes=found.classes[:, :40]
    )
    assert look(cut).clear_fraction == pytest.approx(0.5, abs=0.03)
    hidden = chip()
    hidden.valid[:, 40:] = False
    assert look(hidden).clear_fraction == pytest.approx(0.5, abs=0.03)


def test_landsat_and_radar_go_the_same_way() -> None:
    """Built to the published formats: USGS LSDS-1619 for QA_PIXEL, gamma0 linear power for radar."""
    found = chip()
    scene = replace(found.scene, sensor="landsat", platform="L9")
    qa = np.full(GRID.shape, 0b01000000, dtype=np.uint8)  # clear
    landsat = replace(found, scene=scene, classes=qa, scale=(2.75e-5,) * 5, offset=(-0.2,) * 5)
    landsat = replace(landsat, values=np.full_like(found.values, 10000) + found.values // 10)
    seen = look(landsat)
    assert seen.clear_fraction == 1.0
    assert seen.band("red")[0, 0] == pytest.approx(landsat.values[2, 0, 0] * 2.75e-5 - 0.2)
    qa[:, :40] = 0b00001000  # cloud
    assert look(landsat).clear_fraction < 0.55
    radar = replace(found, scene=replace(found.scene, sensor="sentinel-1"), bands=("vv", "vh"), classes=None)
    power = np.random.default_rng(2).gamma(4, 0.02, (2, *GRID.shape)).astype(np.float32)
    radar = replace(radar, values=power, scale=(1.0, 1.0), offset=(0.0, 0.0))
    assert look(radar).flags == ()
    assert np.array_equal(look(radar).values, power)


def test_the_scene_and_its_item_stay_with_the_look() -> None:
    seen = look(chip())
    assert isinstance(seen.scene, Scene)
    assert seen.scene.items[0].item_id.startswith("S2A_52TFM")
