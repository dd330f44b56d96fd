"""Resolved counting up to 1.5 m: single cars with outline, track, position, length, kind and score."""

from pipeline.counting.resolved.count import METHOD, METHOD_VERSION, count

__all__ = ["METHOD", "METHOD_VERSION", "count"]
