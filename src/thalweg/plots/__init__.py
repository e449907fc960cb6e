"""Pictures: plain arrays and columns in, a Plotly figure or a page out."""

from thalweg.plots.compare import comparison
from thalweg.plots.confusion import confusion_matrix
from thalweg.plots.curves import learning_rate, training_curves
from thalweg.plots.mistakes import mistake_grid
from thalweg.plots.picture import save
from thalweg.plots.report import Record, report
from thalweg.plots.samples import sample_grid
from thalweg.plots.schedules import schedule_curves

__all__ = [
    "Record",
    "comparison",
    "confusion_matrix",
    "learning_rate",
    "mistake_grid",
    "report",
    "sample_grid",
    "save",
    "schedule_curves",
    "training_curves",
]
