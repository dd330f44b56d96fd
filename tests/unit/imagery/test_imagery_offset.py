"""The offset of 1000: whatever the metadata says, reflectance is right, or the look is rejected with its reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.imagery_world import BANDS, FULL, acquisition, in_site, numbers, reflectance, small_site
from support.real_cube import load_cube

from pipeline.config import QualitySettings
from pipeline.imagery.quality import look_at
from pipeline.model import Asset, Chip, Grid, Item, Look, Scene

SITE = small_site()


def chip_of(
    offset_in: int, *, declared: float, applied: bool | None, baseline: str, kind: str = "mixed", seed: int = 7
) -> Chip:
    bands, classes = reflectance(seed, kind)
    dn = numbers(bands, offset_in)
    what = acquisition()
    assets = tuple(Asset(name, f"{name}.tif", 1e-4, declared, 0.0) for name in BANDS)
    item = Item(
        what.item_id, "sentinel-2-l2a", "made", baseline, what.observed_at, assets, offset_applied=applied,
        sensor="sentinel-2",
    )  # fmt: skip
    scene = Scene("S2A_20231006_R103", "made", "sentinel-2", "S2A", what.observed_at, 10.0, (item,), "R103")
    values = in_site(np.stack([dn[name] for name in BANDS]))
    grid = SITE.grid(10.0)
    count = len(BANDS)
    return Chip(
        "small", scene, grid, BANDS, values, np.ones(grid.shape, bool), in_site(classes), (1e-4,) * count,
        (declared,) * count,
    )  # fmt: skip


def look(chip: Chip) -> Look:
    return look_at(chip, SITE, QualitySettings())


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("carried", "declared", "applied", "baseline", "overridden"),
    [
        (1000, -0.1, None, "05.09", False),  # declared
        (1000, -0.1, False, "05.09", False),  # declared, and said to be still in
        (1000, 0.0, None, "05.09", True),  # undeclared
        (1000, 0.0, None, "", True),  # undeclared, nothing known of the processing
        (0, -0.1, True, "05.09", False),  # declared and already removed
        (0, -0.1, None, "05.09", True),  # declared and silently removed
        (0, -0.1, False, "05.09", True),  # the flag is wrong
        (1000, -0.1, True, "05.09", True),  # the flag is wrong the other way
        (0, 0.0, None, "02.14", False),  # before 2022
        (1000, 0.0, None, "02.14", True),  # a reprocessed scene with its old name
    ],
)
def test_reflectance_is_right_whatever_is_declared(
    seed: int, carried: int, declared: float, applied: bool | None, baseline: str, overridden: bool
) -> None:
    found = look(chip_of(carried, declared=declared, applied=applied, baseline=baseline, seed=seed))
    truth, _ = reflectance(seed)
    for name in BANDS:
        assert np.abs(found.band(name) - in_site(truth[name])).max() <= 0.001  # 0.1 % reflectance
    assert ("OFFSET_OVERRIDDEN" in found.flags) == overridden
    assert "OFFSET_AMBIGUOUS" not in found.flags
    assert found.measures["offset_carried"] == float(carried > 0)


@pytest.mark.parametrize("carried", [0, 1000])
@pytest.mark.parametrize(("declared", "applied", "baseline"), [(0.0, None, "05.09"), (-0.1, True, "05.09")])
def test_where_nothing_dark_is_in_sight_no_step_is_let_through(
    carried: int, declared: float, applied: bool | None, baseline: str
) -> None:
    found = look(chip_of(carried, declared=declared, applied=applied, baseline=baseline, kind="bare"))
    truth, _ = reflectance(7, "bare")
    right = np.abs(found.band("red") - in_site(truth["red"])).max() <= 0.001
    assert right or "OFFSET_AMBIGUOUS" in found.flags
    if "OFFSET_AMBIGUOUS" in found.flags:
        assert "offset" in found.detail


@pytest.mark.parametrize("carried", [0, 1000])
def test_snow_is_dark_in_the_short_wave_infrared_and_settles_the_offset(carried: int) -> None:
    chip = chip_of(carried, declared=-0.1, applied=carried == 0, baseline="05.09", kind="snow")
    found = look(chip)
    truth, _ = reflectance(7, "snow")
    assert np.abs(found.band("green") - in_site(truth["green"])).max() <= 0.001
    assert "SNOW" in found.flags


WATER = (0.045, 0.05, 0.03, 0.015, 0.008)  # as in `reflectance`
HAZE = {"blue": 0.11, "green": 0.10, "red": 0.095, "nir": 0.04, "swir16": 0.008}  # path reflectance, thick haze


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("carried", "declared", "baseline", "may_be_ambiguous"),
    [(0, 0.0, "02.14", False), (0, -0.1, "05.09", False), (1000, -0.1, "05.09", False), (1000, 0.0, "05.09", True)],
)
def test_haze_is_not_taken_for_the_offset(
    seed: int, carried: int, declared: float, baseline: str, may_be_ambiguous: bool
) -> None:
    chip = chip_of(carried, declared=declared, applied=None, baseline=baseline, seed=seed)
    lift = np.array([HAZE[name] * 10000 for name in BANDS])[:, None, None]
    values, classes = chip.values.copy(), chip.classes.copy()
    values[:, -4:] = (np.array(WATER)[:, None, None] * 10000 + carried).astype(np.uint16)
    classes[:, :45], classes[-4:] = 7, 6
    found = look(replace(chip, values=(values + lift).astype(np.uint16), classes=classes))
    assert ("OFFSET_AMBIGUOUS" in found.flags) <= may_be_ambiguous
    if "OFFSET_AMBIGUOUS" not in found.flags:
        assert found.measures["offset_carried"] == float(carried > 0)


def test_haze_over_ground_that_is_dark_nowhere_else_is_never_believed() -> None:
    """Without water and at 1.6 um alone, haze and offset look alike: whatever is declared, no wrong number leaves."""
    for carried in (0, 1000):
        for declared in (0.0, -0.1):
            chip = chip_of(carried, declared=declared, applied=None, baseline="05.09")
            lift = np.array([HAZE[name] * 10000 for name in BANDS])[:, None, None]
            classes = chip.classes.copy()
            classes[:, :45] = 7
            found = look(replace(chip, values=(chip.values + lift).astype(np.uint16), classes=classes))
            right = found.measures["offset_carried"] == float(carried > 0)
            assert right or "OFFSET_AMBIGUOUS" in found.flags


@pytest.mark.parametrize("carried", [0, 1000])
@pytest.mark.parametrize(("declared", "applied"), [(0.0, None), (-0.1, None), (-0.1, True), (-0.1, False)])
def test_under_cloud_metadata_alone_are_not_believed(carried: int, declared: float, applied: bool | None) -> None:
    """A gap over the tracks is clear enough to be counted, and everything else in the window is cloud."""
    chip = chip_of(carried, declared=declared, applied=applied, baseline="05.09", kind="bare")
    gap = np.zeros(chip.grid.shape, dtype=bool)
    gap[18:32, 4:76] = True
    cloudy = np.where(gap, chip.values, 7000 + carried).astype(np.uint16)
    found = look(replace(chip, values=cloudy, classes=np.where(gap, 5, 9).astype(np.uint8)))
    right = found.measures["offset_carried"] == float(carried > 0)
    assert right or "OFFSET_AMBIGUOUS" in found.flags


def test_a_winter_window_without_vegetation_or_water_is_not_lost_to_unclassified_pixels() -> None:
    """Shade and wet soil of winter are often "unclassified"; a coherent item over dark ground stays believed."""
    for carried, declared, baseline in ((1000, -0.1, "05.09"), (0, 0.0, "02.14")):
        chip = chip_of(carried, declared=declared, applied=None, baseline=baseline, kind="bare")
        values, classes = chip.values.copy(), chip.classes.copy()
        shade = np.zeros(chip.grid.shape, dtype=bool)
        shade[:6] = True
        values[:, shade] = (np.array([0.012, 0.018, 0.02, 0.04, 0.03])[:, None] * 10000 + carried).astype(np.uint16)
        classes[:10] = 7
        found = look(replace(chip, values=values, classes=classes))
        assert found.measures["offset_carried"] == float(carried > 0)
        assert "OFFSET_AMBIGUOUS" not in found.flags


def test_dark_ground_between_clouds_settles_the_offset() -> None:
    chip = chip_of(0, declared=-0.1, applied=False, baseline="05.09")
    cloudy, classes = chip.values.copy(), np.full(chip.grid.shape, 9, dtype=np.uint8)
    cloudy[:, :, :60], classes[:, 60:] = 8000, 3  # what is left in sight is called a shadow
    found = look(replace(chip, values=cloudy, classes=classes))
    assert found.measures["offset_carried"] == 0.0
    assert "OFFSET_OVERRIDDEN" in found.flags


def test_no_real_clear_date_is_misjudged(tmp_path: Path) -> None:
    """48 real dates over a forest, and each again with 1000 added without a word in the metadata."""
    cube = load_cube()
    grid: Grid = cube.grid
    steps = []
    for carried in (0, 1000):
        for day, values, classes in zip(cube.days, cube.values, cube.classes, strict=True):
            chip = real_chip(day, np.where(values > 0, values + carried, 0), classes, grid)
            found = look_at(chip, replace(SITE, crs=grid.crs), QualitySettings())
            clear = np.isin(classes, (4, 5, 6)) & (values > 0).all(axis=0)
            if clear.mean() < 0.5:
                continue
            error = np.abs(found.values[2][clear] - values[2][clear] * 1e-4).max()
            assert error <= 0.001 or "OFFSET_AMBIGUOUS" in found.flags
            steps.append("OFFSET_AMBIGUOUS" in found.flags)
    assert len(steps) >= 40
    assert sum(steps) <= 0.15 * len(steps), "ambiguity is the exception"


def real_chip(day: Any, values: np.ndarray, classes: np.ndarray, grid: Grid) -> Chip:
    what = acquisition()
    names = ("blue", "green", "red", "nir")
    assets = tuple(Asset(name, f"{name}.tif", 1e-4, 0.0, 0.0) for name in names)
    item = Item(f"real-{day}", "sentinel-2-l2a", "real", "02.14", what.observed_at, assets, sensor="sentinel-2")
    scene = Scene(f"S2A_{day}", "real", "sentinel-2", "S2A", what.observed_at, 10.0, (item,))
    valid = (values > 0).all(axis=0)
    return Chip("real", scene, grid, names, values, valid, classes, (1e-4,) * 4, (0.0,) * 4)


def test_the_world_of_these_tests_is_as_large_as_its_site() -> None:
    assert in_site(np.zeros(FULL.shape)).shape == SITE.grid(10.0).shape
