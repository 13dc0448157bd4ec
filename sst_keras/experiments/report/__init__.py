"""A sweep's records → `RESULTS.md`, figures, and one page of HTML. No model is loaded.

`results.py` is the report from top to bottom; `comparison.py` has the statistics, `wording.py` and
`document.py` what is said of them, `curves.py` and `findings.py` sections, `page.py` the HTML.
"""

from sst_keras.experiments.report.results import build_report, write_report

__all__ = ["build_report", "write_report"]
