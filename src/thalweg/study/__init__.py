"""Questions asked of runs, one file each."""

from thalweg.study.evaluating import Evaluation, evaluate
from thalweg.study.ground.curvature import (
    Bend,
    Curvature,
    CurvatureOptions,
    draw_curvature,
    load_curvature,
    measure_curvature,
)
from thalweg.study.ground.landscape import Landscape, draw_landscape, load_landscape, map_landscape
from thalweg.study.ground.slicing import Slice, draw_slice, load_slice, slice_between
from thalweg.study.ground.walkers import Walker, walkers
from thalweg.study.inputs import read_images
from thalweg.study.intervals import Interval, mean_interval, paired_interval
from thalweg.study.lr.finding import find_lr, search_lr
from thalweg.study.lr.found import FoundLr, Rate
from thalweg.study.network import load_network
from thalweg.study.questions import (
    Answer,
    Question,
    Study,
    ask,
    compare_batch_sizes,
    compare_inits,
    load_study,
    memorise,
    regularise,
    study_of,
)
from thalweg.study.races.racing import Race, begin_race, go_on_race, load_race, race
from thalweg.study.races.standings import Curve, Standing, Trace
from thalweg.study.resuming import go_on, load_run, resume
from thalweg.study.search import Range, Tuning, begin_tune, go_on_tune, join_tune, load_tuning, tune
from thalweg.study.signals import Interrupted
from thalweg.study.sweeps.grid import half_decades
from thalweg.study.sweeps.size import Estimate, estimate
from thalweg.study.sweeps.sweeping import Row, Sweep, go_on_sweep, load_sweep, plan_sweep, sweep
from thalweg.study.training import begin, train

__all__ = [
    "Answer",
    "Bend",
    "Curvature",
    "CurvatureOptions",
    "Curve",
    "Estimate",
    "Evaluation",
    "FoundLr",
    "Interrupted",
    "Interval",
    "Landscape",
    "Question",
    "Race",
    "Range",
    "Rate",
    "Row",
    "Slice",
    "Standing",
    "Study",
    "Sweep",
    "Trace",
    "Tuning",
    "Walker",
    "ask",
    "begin",
    "begin_race",
    "begin_tune",
    "compare_batch_sizes",
    "compare_inits",
    "draw_curvature",
    "draw_landscape",
    "draw_slice",
    "estimate",
    "evaluate",
    "find_lr",
    "go_on",
    "go_on_race",
    "go_on_sweep",
    "go_on_tune",
    "half_decades",
    "join_tune",
    "load_curvature",
    "load_landscape",
    "load_network",
    "load_race",
    "load_run",
    "load_slice",
    "load_study",
    "load_sweep",
    "load_tuning",
    "map_landscape",
    "mean_interval",
    "measure_curvature",
    "memorise",
    "paired_interval",
    "plan_sweep",
    "race",
    "read_images",
    "regularise",
    "resume",
    "search_lr",
    "slice_between",
    "study_of",
    "sweep",
    "train",
    "tune",
    "walkers",
]
