"""Pictures: plain arrays and columns in, a Plotly figure or a page out."""

from thalweg.plots.against import Line, metric_against
from thalweg.plots.bands import Band, band_curves
from thalweg.plots.compare import comparison
from thalweg.plots.confusion import confusion_matrix
from thalweg.plots.contour import contour
from thalweg.plots.curves import learning_rate, training_curves
from thalweg.plots.descent import descent
from thalweg.plots.forest import Entry, forest
from thalweg.plots.heat import Cell, heat_map
from thalweg.plots.mistakes import mistake_grid
from thalweg.plots.parallel import Strand, parallel_axes
from thalweg.plots.picture import save
from thalweg.plots.plane import Mark, Plane, Way
from thalweg.plots.profile import performance_profile
from thalweg.plots.report import (
    About,
    Place,
    RaceRecord,
    Record,
    Setting,
    SweepRecord,
    Tuned,
    race_report,
    report,
    sweep_report,
)
from thalweg.plots.samples import sample_grid
from thalweg.plots.schedules import schedule_curves
from thalweg.plots.slices import Profile, slices
from thalweg.plots.spectrum import spectrum
from thalweg.plots.stability import Readings, stability
from thalweg.plots.surface import surface

__all__ = [
    "About",
    "Band",
    "Cell",
    "Entry",
    "Line",
    "Mark",
    "Place",
    "Plane",
    "Profile",
    "RaceRecord",
    "Readings",
    "Record",
    "Setting",
    "Strand",
    "SweepRecord",
    "Tuned",
    "Way",
    "band_curves",
    "comparison",
    "confusion_matrix",
    "contour",
    "descent",
    "forest",
    "heat_map",
    "learning_rate",
    "metric_against",
    "mistake_grid",
    "parallel_axes",
    "performance_profile",
    "race_report",
    "report",
    "sample_grid",
    "save",
    "schedule_curves",
    "slices",
    "spectrum",
    "stability",
    "surface",
    "sweep_report",
    "training_curves",
]
