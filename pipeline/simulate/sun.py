"""Where the sun stands, for simulated acquisitions and for looks whose catalogue entry does not say."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np


def sun_position(when: datetime, longitude_deg: float, latitude_deg: float) -> tuple[float, float]:
    """Return the sun's elevation and azimuth, degrees; azimuth clockwise from north.

    Low-precision formulae of the Astronomical Almanac (about 0.01 degrees from 1950 to 2050), without refraction.

    Parameters
    ----------
    when : datetime
        Aware.
    longitude_deg, latitude_deg : float
        WGS 84, degrees.
    """
    days = (when.astimezone(UTC) - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds() / 86400.0
    mean_longitude = 280.460 + 0.9856474 * days
    anomaly = np.deg2rad(357.528 + 0.9856003 * days)
    ecliptic = np.deg2rad(mean_longitude + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    obliquity = np.deg2rad(23.439 - 0.0000004 * days)
    ascension = np.arctan2(np.cos(obliquity) * np.sin(ecliptic), np.cos(ecliptic))
    declination = np.arcsin(np.sin(obliquity) * np.sin(ecliptic))
    sidereal = np.deg2rad((18.697374558 + 24.06570982441908 * days) * 15.0 + longitude_deg)
    hour, latitude = sidereal - ascension, np.deg2rad(latitude_deg)
    elevation = np.arcsin(
        np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(hour)
    )
    azimuth = np.arctan2(-np.sin(hour), np.tan(declination) * np.cos(latitude) - np.sin(latitude) * np.cos(hour))
    return float(np.rad2deg(elevation)), float(np.rad2deg(azimuth) % 360.0)
