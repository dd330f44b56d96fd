"""An identity changes with what a count depends on, and with nothing else."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from shapely.geometry import LineString, box
from support.store_samples import scene, site

from pipeline.config import AlarmSettings, CountingSettings, NotifySettings, QualitySettings, Settings
from pipeline.model import Track, Zone
from pipeline.store import config_digest, observation_id

TWO = (("a", "05.09"), ("b", "05.09"))


def test_the_order_of_items_and_tracks_does_not_matter() -> None:
    assert observation_id(site(), scene(*TWO), "m", "1", "d") == observation_id(
        site(), scene(*reversed(TWO)), "m", "1", "d"
    )
    tracks = (*site().tracks, Track("t2", "two", LineString([(0, 5), (900, 5)]), "yard"))
    assert config_digest(site(tracks=tracks), Settings()) == config_digest(site(tracks=tracks[::-1]), Settings())
    assert uuid.UUID(observation_id(site(), scene(*TWO), "m", "1", "d")).version == 5


def test_this_identity_holds_for_ever() -> None:
    # Stored rows are found again by these; a change here orphans every store.
    assert observation_id(site(), scene(*TWO), "occupancy", "2", "d") == "6057302a-5e80-51cb-9e91-5220bce84865"


@pytest.mark.parametrize(
    "other",
    [
        (site(area=box(-100, -100, 1000, 101)), scene(*TWO), "m", "1", "d"),
        (site(crs="EPSG:32653"), scene(*TWO), "m", "1", "d"),
        (site(), scene(("a", "05.10"), ("b", "05.09")), "m", "1", "d"),
        (site(), scene(("a", "05.09")), "m", "1", "d"),
        (site(), scene(*TWO), "n", "1", "d"),
        (site(), scene(*TWO), "m", "2", "d"),
        (site(), scene(*TWO), "m", "1", "e"),
    ],
)
def test_what_enters_the_identity(other: Any) -> None:
    assert observation_id(*other) != observation_id(site(), scene(*TWO), "m", "1", "d")


def test_the_name_of_a_site_does_not_enter() -> None:
    assert observation_id(site(name="x"), scene(*TWO), "m", "1", "d") == observation_id(
        site(), scene(*TWO), "m", "1", "d"
    )


@pytest.mark.parametrize(
    "settings",
    [
        Settings(quality=QualitySettings(min_clear_fraction=0.5)),
        Settings(quality=QualitySettings(snow_ndsi=0.3)),
        Settings(counting=CountingSettings(history_days=400)),
        Settings(counting=CountingSettings(history_max_looks=70)),
    ],
)
def test_settings_that_a_count_depends_on(settings: Settings) -> None:
    assert config_digest(site(), settings) != config_digest(site(), Settings())


@pytest.mark.parametrize(
    "settings",
    [
        Settings(alarms=AlarmSettings(min_ratio=3)),
        Settings(notify=NotifySettings(smtp_host="x")),
        Settings(counting=CountingSettings(first_history_days=10)),
        Settings(lookback_days=3, read_threads=1, store_url="sqlite:///x"),
    ],
)
def test_settings_that_a_count_does_not_depend_on(settings: Settings) -> None:
    assert config_digest(site(), settings) == config_digest(site(), Settings())


def test_geometry_enters_to_the_millimetre() -> None:
    (track,) = site().tracks
    base = config_digest(site(), Settings())

    def with_track(**changes: Any) -> str:
        return config_digest(site(tracks=(replace(track, **changes),)), Settings())

    assert with_track(line=LineString([(0, 1e-6), (900, -1e-7)])) == base
    assert with_track(name="renamed") == base
    assert with_track(line=LineString([(0, 0.01), (900, 0)])) != base
    assert with_track(valid_to=date(2024, 1, 1)) != base
    assert config_digest(site(zones=(Zone("apron", box(0, 0, 1, 1)),)), Settings()) != base
    assert config_digest(site(title="other", published=()), Settings()) == base
