"""The interval of a radar estimate: the shortest that holds its promise of the numbers that exist."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.counting.radar.estimate import PROMISED, _shortest, estimate

NUMBERS = np.arange(-200.0, 401.0, 4.0)


def bell(centre: float, sd: float) -> np.ndarray:
    return np.where(NUMBERS >= 0, np.exp(-0.5 * ((NUMBERS - centre) / sd) ** 2), 0.0)


def test_far_from_zero_it_is_the_central_one():
    low, high = _shortest(bell(150.0, 15.0), NUMBERS)
    assert low == pytest.approx(150 - 1.645 * 15, abs=2.0)
    assert high == pytest.approx(150 + 1.645 * 15, abs=2.0)


@pytest.mark.parametrize("centre", [-30.0, 0.0, 15.0])
def test_near_zero_it_reaches_zero_and_holds_no_more_than_promised(centre: float):
    mass = bell(centre, 15.0)
    low, high = _shortest(mass, NUMBERS)
    assert low == 0.0
    assert mass[high >= NUMBERS].sum() / mass.sum() == pytest.approx(PROMISED, abs=0.1)


def test_where_nothing_is_possible_it_is_empty():
    assert _shortest(np.zeros(len(NUMBERS)), NUMBERS) == (0.0, 0.0)


def test_the_number_lies_inside():
    past = np.random.default_rng(3).normal(0.0, 0.1, 30)
    for change in (-0.8, -0.1, 0.0, 0.4, 2.0):
        made = estimate(change, 0.1, past, 0.01, ())
        assert made.low <= made.railcars <= made.high
