"""Surges become pages: charts, pictures, evidence, and the review desk."""

from pipeline.report.build import build_report
from pipeline.report.data import NextPass, ReportData, SourceState, SourceTerms

__all__ = ["NextPass", "ReportData", "SourceState", "SourceTerms", "build_report"]
