"""Moving it: the step, the loop, and what they say."""

from thalweg.engine.build import short_keys
from thalweg.engine.cohort import Cohort, Outcome
from thalweg.engine.events import Clock, Diverged, Evaluated, Event, Finished, Step
from thalweg.engine.group import Group
from thalweg.engine.history import History
from thalweg.engine.length import Length
from thalweg.engine.loop import descend
from thalweg.engine.member import Member
from thalweg.engine.metrics import Average, Metric, accuracy, build_metrics, top
from thalweg.engine.progress import Progress, Snapshot
from thalweg.engine.regularisation import Regularisation
from thalweg.engine.run import Run
from thalweg.engine.states import States
from thalweg.engine.stop import Condition, Patience

__all__ = [
    "Average",
    "Clock",
    "Cohort",
    "Condition",
    "Diverged",
    "Evaluated",
    "Event",
    "Finished",
    "Group",
    "History",
    "Length",
    "Member",
    "Metric",
    "Outcome",
    "Patience",
    "Progress",
    "Regularisation",
    "Run",
    "Snapshot",
    "States",
    "Step",
    "accuracy",
    "build_metrics",
    "descend",
    "short_keys",
    "top",
]
