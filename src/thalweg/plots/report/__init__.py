"""One page that says what a run, a sweep or a race was and what came of it."""

from thalweg.plots.report.about import About
from thalweg.plots.report.page import report
from thalweg.plots.report.race import Place, RaceRecord, Tuned, race_report
from thalweg.plots.report.record import Record
from thalweg.plots.report.sweep import Setting, SweepRecord, sweep_report
from thalweg.plots.report.tune import Contender, TuneRecord, tune_report

__all__ = [
    "About",
    "Contender",
    "Place",
    "RaceRecord",
    "Record",
    "Setting",
    "SweepRecord",
    "TuneRecord",
    "Tuned",
    "race_report",
    "report",
    "sweep_report",
    "tune_report",
]
