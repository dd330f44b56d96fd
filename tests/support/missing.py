"""A test without the program that it drives: left out on a desk, failed in the gate."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Leave a test out because a program is not installed; where the gate runs, that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}; the gate installs it")
    pytest.skip(what)
