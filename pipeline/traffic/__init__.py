"""Counts become surges: evidence, baseline, calibrated alarms, episodes."""

from pipeline.traffic.judge import CalibrationSummary, Judgement, judge

__all__ = ["CalibrationSummary", "Judgement", "judge"]
