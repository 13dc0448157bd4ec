"""A sweep's records → a Markdown file, figures, and one HTML page, in `results.py`."""

from sst_keras.experiments.report.results import build_report, rows_table, write_report

__all__ = ["build_report", "rows_table", "write_report"]
