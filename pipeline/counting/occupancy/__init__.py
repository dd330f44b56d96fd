"""Occupancy of a yard at 10 to 30 m: railcar equivalents against the yard's own past."""

from pipeline.counting.occupancy.count import METHOD, METHOD_VERSION, count

__all__ = ["METHOD", "METHOD_VERSION", "count"]
