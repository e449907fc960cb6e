"""One page that says what a run was and what became of it."""

from thalweg.plots.report.page import report
from thalweg.plots.report.record import Record

__all__ = ["Record", "report"]
