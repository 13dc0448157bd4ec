"""A sweep's records → a Markdown file, figures, and one HTML page. No model is loaded.

`results.py` is the report from top to bottom. `effects.py` and `published.py` are sections of it,
`comparison.py` has the statistics, `figures.py` the figures, `wording.py` and `page.py` the text.
"""

from sst_keras.experiments.report.results import build_report, rows_table, write_report

__all__ = ["build_report", "rows_table", "write_report"]
