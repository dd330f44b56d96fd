"""The review desk: where an analyst believes or refutes a surge, on record."""

from pipeline.report.desk.app import create_app
from pipeline.report.desk.data import DeskData
from pipeline.report.desk.serve import serve_desk

__all__ = ["DeskData", "create_app", "serve_desk"]
