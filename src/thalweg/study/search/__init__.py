"""Search: which settings are best; what to choose from, proposals, rungs, the record, the end."""

from thalweg.study.search.finals import Finalist
from thalweg.study.search.ledger import Trial
from thalweg.study.search.ranges import build_space
from thalweg.study.search.rungs import Rungs
from thalweg.study.search.seeking import begin_tune, go_on_tune, join_tune, load_tuning, tune
from thalweg.study.search.space import Axis, Choice, Range, Space
from thalweg.study.search.tuning import Tuning

__all__ = [
    "Axis",
    "Choice",
    "Finalist",
    "Range",
    "Rungs",
    "Space",
    "Trial",
    "Tuning",
    "begin_tune",
    "build_space",
    "go_on_tune",
    "join_tune",
    "load_tuning",
    "tune",
]
