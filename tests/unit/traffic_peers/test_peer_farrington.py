"""The Farrington port gives R's bounds and alarms, in both ways of counting a year back."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.traffic.peers.farrington import FarringtonSettings, _quantile, farrington

DATA = Path(__file__).resolve().parents[2] / "data" / "surge-peer"
NOUFAILY = FarringtonSettings()
METHODS = {
    "ff_noufaily_nbPlugin": NOUFAILY,
    "ff_noufaily_muan": replace(NOUFAILY, threshold="muan", least_cases=5),
    "ff_classic_delta": FarringtonSettings(
        periods=1,
        weights_threshold=1.0,
        weeks_left_out=3,
        p_trend=0.05,
        threshold="delta",
        alpha=0.05,
        least_cases=5,
    ),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("name", "years"), [("salmNewport", 4), ("railcar_toy", 3)])
def test_equal_to_r(name: str, years: int, method: str) -> None:
    table = pd.read_csv(DATA / f"input_{name}.csv")
    theirs = pd.read_csv(DATA / f"{name}__{method}.csv").iloc[::3]
    dates = [date.fromisoformat(day) for day in table["date"]] if name == "salmNewport" else None
    settings = replace(METHODS[method], years_back=years)
    ours = farrington(table["observed"].to_numpy(), theirs["t"].to_numpy() - 1, settings, dates)
    bounds = np.array([week.bound for week in ours])
    np.testing.assert_allclose(bounds, theirs["upperbound"], rtol=1e-4)
    assert [week.alarm for week in ours] == list(theirs["alarm"] == 1)
    spoken = theirs["expected"].notna().to_numpy()
    np.testing.assert_allclose(
        np.array([week.expected for week in ours])[spoken], theirs["expected"][spoken], rtol=1e-4, atol=1e-9
    )


def test_years_by_date_differ_from_years_of_52_weeks() -> None:
    table = pd.read_csv(DATA / "input_salmNewport.csv")
    dates = [date.fromisoformat(day) for day in table["date"]]
    y, weeks = table["observed"].to_numpy(), range(365, 410)
    settings = replace(NOUFAILY, years_back=4)
    by_date = [week.expected for week in farrington(y, weeks, settings, dates)]
    by_index = [week.expected for week in farrington(y, weeks, settings)]
    assert not np.allclose(by_date, by_index, rtol=1e-3)


def test_a_past_too_short_is_said() -> None:
    with pytest.raises(ValueError, match="needs 5 years"):
        farrington(np.ones(300), [250])


@pytest.mark.parametrize("phi", [1.0, 1.2, 40.0])
def test_a_bound_beyond_all_counts_is_found_at_once_and_joins_the_exact_one(phi: float) -> None:
    # A trend carried forward gave a mean of 3e16, and the discrete quantile was looked for without an end.
    assert _quantile(0.995, 3.4e16, phi) == pytest.approx(3.4e16, rel=1e-6)
    assert _quantile(0.995, 1.001e9, phi) == pytest.approx(_quantile(0.995, 0.999e9, phi) * 1.001 / 0.999, rel=1e-6)
