"""The published record: which rows are totals, which are bounds, and that none speaks for another day."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import open_configuration
from pipeline.errors import ConfigError
from pipeline.model import Site
from pipeline.traffic.likelihood import evidence
from pipeline.traffic.published import known_from_published, published_observations, readings

CONFIG = Path(__file__).resolve().parents[3] / "config"


@pytest.fixture(scope="module")
def tumangang() -> Site:
    return open_configuration(CONFIG).site("tumangang")


def test_only_dated_totals_of_the_yard_are_known_counts(tumangang: Site) -> None:
    known = {k.observed_at.date(): k for k in known_from_published(tumangang)}
    assert {day: k.railcars for day, k in known.items()} == {
        date(2023, 10, 5): 73.0,
        date(2024, 6, 17): 255.0,
        date(2024, 12, 3): 225.0,
    }
    # 73 "approximately", primary: SCIENCE section 4 writes 73 (65–81).
    assert known[date(2023, 10, 5)].sd == pytest.approx(4.9, abs=0.1)
    # Second hand and perhaps the whole crossing: far less sure than the primary total of the same size.
    assert known[date(2024, 12, 3)].sd > 3 * known[date(2024, 6, 17)].sd


def test_trains_lengths_and_bounds_are_read_as_what_they_are(tumangang: Site) -> None:
    by_day = {r.row.start: r for r in readings(tumangang) if r.one_day and r.says != "nothing"}
    assert by_day[date(2022, 11, 4)].says == "at least"  # one set of three cars
    length = by_day[date(2023, 2, 2)]  # 495 m
    assert length.says == "at least"
    assert length.railcars == pytest.approx(495 / 14)
    assert length.sd == pytest.approx(495 / 14 * np.hypot(0.15, 0.09))  # the pitch, and a secondary source
    assert by_day[date(2024, 10, 21)].says == "at least"
    silent = {r.row.start for r in readings(tumangang) if r.says == "nothing"}
    assert date(2023, 9, 22) in silent  # rows of cargo
    assert date(2022, 11, 18) in silent  # a train on its way
    assert date(2024, 4, 7) in silent  # at the bridge
    spans = [r for r in readings(tumangang) if r.says == "at most"]
    assert len(spans) == 1 and not spans[0].one_day


def test_observations_are_of_their_own_source_and_of_their_own_day(tumangang: Site) -> None:
    rows = published_observations(tumangang)
    assert {row.source for row in rows} == {"published"} and {row.sensor for row in rows} == {"published"}
    assert len({row.observation_id for row in rows}) == len(rows)
    assert date(2018, 10, 1) not in {row.observed_at.date() for row in rows}  # a five-year level is no look
    assert all("http" in row.detail and row.platform for row in rows)
    looks = {look.observed_at.date(): look.likelihood for look in evidence(rows)}
    total, bound = looks[date(2023, 10, 5)], looks[date(2024, 10, 21)]
    assert int(np.argmax(total)) == 73 and total[20] < 1e-6 and total[120] < 1e-6
    assert bound[0] < 1e-6 and bound[8] == 1.0 and bound[-1] == 1.0
    length = looks[date(2023, 2, 2)]
    assert length[10] < 0.01 and length[50] > 0.9


def test_a_number_that_is_none_is_named_with_its_day(tumangang: Site) -> None:
    row = next(r for r in tumangang.published if r.kind == "count")
    for value in ("many", "-3", "nan", "1e9"):
        site = replace(tumangang, published=(replace(row, value=value),))
        with pytest.raises(ConfigError, match=f"{row.start}.*'{value}'"):
            known_from_published(site)
