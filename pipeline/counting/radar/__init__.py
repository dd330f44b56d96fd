"""Sentinel-1: change of backscatter per relative orbit and platform, an independent witness through cloud."""

from __future__ import annotations

from pipeline.counting.radar.count import METHOD, METHOD_VERSION, count

__all__ = ["METHOD", "METHOD_VERSION", "count"]
