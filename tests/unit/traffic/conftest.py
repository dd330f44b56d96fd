"""Calibrations are small in these tests and shared: what is tested is not how fine they are."""

from pathlib import Path

import pytest

from pipeline.config import AlarmSettings


@pytest.fixture(scope="session")
def alarms() -> AlarmSettings:
    return AlarmSettings(calibration_years=50, min_baseline_looks=20)


@pytest.fixture(scope="session")
def calibrations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("calibrations")
