"""What happens at a simulated yard: trains come and go, a surge comes, satellites pass, clouds hide."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Sky = Literal["clear", "cloud", "half", "snow", "haze"]

FIRST_YEAR_END = date(2023, 12, 31)  # the simulated archive ends here, so that its surge falls in October 2023
SURGE_START = date(2023, 9, 26)
SURGE_PEAK = date(2023, 10, 5)
SURGE_END = date(2023, 11, 20)
SURGE_CARS = 70
QUIET_MAX = 20
PASS_TIME = timedelta(hours=2, minutes=20)  # local 11:20 at 130.6 E
REPEAT_DAYS = 5  # one orbit, two satellites in turn


@dataclass(frozen=True)
class PlannedLook:
    """One pass of a satellite over the simulated yard."""

    observed_at: datetime  # UTC
    platform: str  # S2A or S2B
    orbit: str
    railcars: int  # truth
    sky: Sky
    shift_px: tuple[float, float]  # (columns, rows) at 10 m by which the image lies off
    offset_dn: int  # added to digital numbers: 0, or 1000 from processing baseline 04.00


def daily_railcars(days: int, end: date, rng: np.random.Generator) -> NDArray[np.int_]:
    """Return the railcars in the yard on each of the `days` up to `end`, shape (days,).

    Trains of 3 to 14 cars arrive about every five days and stay 2 to 4 days (news reports of 2022 and 2023),
    so that quiet days hold 0 to 20 cars; the surge climbs to about 70 within ten days and fades within a month.
    """
    cars = np.zeros(days + 8, dtype=np.int_)
    for day in range(days):
        if rng.random() < 0.22:
            cars[day : day + int(rng.integers(2, 5))] += int(rng.integers(3, 15))
    cars = np.minimum(cars[:days], QUIET_MAX)
    first = end - timedelta(days=days - 1)
    for day in range(days):
        today = first + timedelta(days=day)
        if SURGE_START <= today <= SURGE_END:
            if today <= SURGE_PEAK:
                part = (today - SURGE_START).days / max((SURGE_PEAK - SURGE_START).days, 1)
            elif today <= SURGE_PEAK + timedelta(days=21):
                part = 1.0
            else:
                part = max(0.0, (SURGE_END - today).days / 25)
            level = SURGE_CARS * part + rng.normal(0, 3)
            cars[day] = max(int(cars[day]), round(float(np.clip(level, 0, SURGE_CARS + 8))))
    return cars


def plan_looks(years: int, seed: int) -> tuple[PlannedLook, ...]:
    """Plan every pass over `years` years up to the end of 2023, in date order.

    Parameters
    ----------
    years : int
        Length of the archive, at least 1.
    seed : int
        Equal seeds give equal plans.

    Returns
    -------
    tuple of PlannedLook
        About 73 a year. Winter looks may be snowed in, summer looks are cloudy, a few are hazy or shifted, and
        digital numbers carry +1000 from the middle of the archive on.
    """
    rng = np.random.default_rng([seed, 1])
    days = 365 * years
    cars = daily_railcars(days, FIRST_YEAR_END, rng)
    first = FIRST_YEAR_END - timedelta(days=days - 1)
    looks: list[PlannedLook] = []
    for number, day in enumerate(range(2, days, REPEAT_DAYS)):
        today = first + timedelta(days=day)
        shift = rng.normal(0, 0.25, 2)
        if rng.random() < 0.01:
            shift = rng.choice([-1.0, 1.0], 2) * rng.uniform(3.5, 5.0, 2)
        jitter = timedelta(seconds=int(rng.integers(0, 240)))
        looks.append(
            PlannedLook(
                observed_at=datetime.combine(today, datetime.min.time(), tzinfo=UTC) + PASS_TIME + jitter,
                platform="S2A" if number % 2 == 0 else "S2B",
                orbit="R103",
                railcars=int(cars[day]),
                sky=_sky(today, rng),
                shift_px=(float(shift[0]), float(shift[1])),
                offset_dn=1000 if day >= days // 2 else 0,
            )
        )
    return tuple(looks)


def _sky(today: date, rng: np.random.Generator) -> Sky:
    """Draw the sky: clear winters, cloud and fog from May to August, snow from December to February."""
    cloudy = {5: 0.5, 6: 0.65, 7: 0.7, 8: 0.6}.get(today.month, 0.25)
    draw = rng.random(3)
    if draw[0] < cloudy:
        return "half" if draw[1] < 0.25 else "cloud"
    if today.month in (12, 1, 2) and draw[1] < 0.3:
        return "snow"
    return "haze" if draw[2] < 0.03 else "clear"
