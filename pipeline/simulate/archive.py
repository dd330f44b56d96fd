"""A simulated yard's archive on disk: catalogue, configuration and truth, with the accidents that archives have."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from pipeline.simulate.catalogue import Acquisition, write_acquisition, write_catalogue
from pipeline.simulate.coarse import QUANTUM, SimulatedLook, simulate_series
from pipeline.simulate.demo_site import demo_site, write_configuration
from pipeline.simulate.plan import PlannedLook, plan_looks

TILE, OTHER_TILE = "52TFN", "52TFM"  # the two tiles that cover Tumangang
CUT_AT = 600  # bytes that are left of the corrupt file: its header promises more
BASELINE_BEFORE, BASELINE_OFFSET = "03.01", "04.00"  # the second brought the offset of +1000 (ESA, January 2022)


@dataclass(frozen=True)
class Accidents:
    """Which looks of the plan have an accident, by their number."""

    duplicate: int  # delivered in a second, overlapping tile
    reprocessed: int  # delivered again in a newer processing
    corrupt: int  # one of its files is cut short


def accidents_of(plan: tuple[PlannedLook, ...]) -> Accidents:
    """Choose clear looks for the three accidents, away from the surge and from each other."""
    clear = [number for number, look in enumerate(plan) if look.sky == "clear" and look.railcars <= 20]
    thirds = [clear[len(clear) * part // 10] for part in (3, 5, 8)]
    return Accidents(*thirds)


def write_archive(folder: Path, years: int, seed: int) -> Iterator[tuple[int, int]]:
    """Write `catalogue/`, `config/` and, last, `truth.csv` below a folder.

    Parameters
    ----------
    folder : Path
        Made when it does not exist. A run that was cut short is written again; equal arguments give equal files.
    years : int
        Length of the archive, which ends with 2023.
    seed : int
        Equal seeds give equal archives.

    Yields
    ------
    tuple of int
        (looks written, looks in all), after each look.
    """
    site = demo_site()
    plan = plan_looks(years, seed)
    odd = accidents_of(plan)
    catalogue = folder / "catalogue"
    truth = folder / "truth.csv"
    truth.unlink(missing_ok=True)
    names: list[str] = []
    rows: list[tuple[str, str, int]] = []
    for number, look in enumerate(simulate_series(site, plan, seed)):
        planned = plan[number]
        first = _acquisition(look, planned, number)
        deliveries = [(first, look.bands)]
        if number == odd.duplicate:
            deliveries.append((replace(first, item_id=_item_id(planned, OTHER_TILE, 0)), look.bands))
        if number == odd.reprocessed:
            deliveries.append(_reprocessed(look, planned, first))
        for made, bands in deliveries:
            write_acquisition(catalogue, look.grid, made, bands, old_projection_key=number % 2 == 0)
            names.append(made.item_id)
        if number == odd.corrupt:
            red = catalogue / "items" / first.item_id / "red.tif"
            red.write_bytes(red.read_bytes()[:CUT_AT])
        scene_id = f"{planned.platform}_{planned.observed_at:%Y%m%d}_{planned.orbit}"
        rows.append((scene_id, f"{planned.observed_at:%Y-%m-%dT%H:%M:%SZ}", look.railcars))
        yield number + 1, len(plan)
    write_catalogue(catalogue, "Simulated Sentinel-2 passes over a yard that does not exist", sorted(names))
    write_configuration(folder / "config", "../catalogue/catalog.json")
    part = truth.with_suffix(".part")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["scene_id", "observed_at", "railcars"])
        writer.writerows(rows)
    (folder / "accidents.json").write_text(_accidents_text(plan, odd), encoding="utf-8")
    part.replace(truth)  # done-marker


def _item_id(look: PlannedLook, tile: str, copy: int) -> str:
    return f"{look.platform}_{tile}_{look.observed_at:%Y%m%d}_{copy}_L2A"


def _acquisition(look: SimulatedLook, planned: PlannedLook, number: int) -> Acquisition:
    carried = planned.offset_dn > 0
    return Acquisition(
        item_id=_item_id(planned, TILE, 0),
        observed_at=planned.observed_at,
        platform="sentinel-2" + planned.platform[-1].lower(),
        orbit=int(planned.orbit[1:]),
        processing_baseline=BASELINE_OFFSET if carried else BASELINE_BEFORE,
        datatake_id=f"G{planned.platform}_{planned.observed_at:%Y%m%dT%H%M%S}_{number:06d}_N{BASELINE_BEFORE}",
        updated=f"{planned.observed_at + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}",
        sun_elevation_deg=round(look.sun_elevation_deg, 3),
        sun_azimuth_deg=round(look.sun_azimuth_deg, 3),
        cloud_cover=round(100.0 * float(np.isin(look.classes, (8, 9, 10)).mean()), 2),
        offset=-planned.offset_dn * QUANTUM,
        offset_applied=False if carried else None,
    )


def _reprocessed(
    look: SimulatedLook, planned: PlannedLook, first: Acquisition
) -> tuple[Acquisition, dict[str, np.ndarray]]:
    """Return the same pass as a later processing delivers it: with the offset, in another item, the next year."""
    lift = 1000 - planned.offset_dn
    bands = {
        name: values if name == "scl" else np.where(values == 0, 0, values + lift).astype(np.uint16)
        for name, values in look.bands.items()
    }
    made = replace(
        first,
        item_id=_item_id(planned, TILE, 1),
        processing_baseline="05.00",
        updated=f"{planned.observed_at + timedelta(days=400):%Y-%m-%dT%H:%M:%SZ}",
        offset=-1000 * QUANTUM,
        offset_applied=False,
    )
    return made, bands


def _accidents_text(plan: tuple[PlannedLook, ...], odd: Accidents) -> str:
    named = {
        "duplicate": [_item_id(plan[odd.duplicate], OTHER_TILE, 0)],
        "reprocessed": [_item_id(plan[odd.reprocessed], TILE, 1)],
        "corrupt": [f"{_item_id(plan[odd.corrupt], TILE, 0)}/red.tif"],
    }
    return json.dumps(named, indent=1) + "\n"
