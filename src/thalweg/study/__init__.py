"""Questions asked of runs, one file each."""

from thalweg.study.evaluating import Evaluation, evaluate
from thalweg.study.inputs import read_images
from thalweg.study.network import load_network
from thalweg.study.resuming import go_on, load_run, resume
from thalweg.study.signals import Interrupted
from thalweg.study.training import begin, train

__all__ = [
    "Evaluation",
    "Interrupted",
    "begin",
    "evaluate",
    "go_on",
    "load_network",
    "load_run",
    "read_images",
    "resume",
    "train",
]
