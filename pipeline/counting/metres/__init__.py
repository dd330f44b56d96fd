"""Occupied metres of track at 1.5 to 5 m, told in railcars."""

from pipeline.counting.metres.count import METHOD, METHOD_VERSION, count

__all__ = ["METHOD", "METHOD_VERSION", "count"]
