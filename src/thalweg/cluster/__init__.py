"""Who does the work: this process, others on this machine, or a cluster."""

from thalweg.cluster.executor import Done, Executor, Happening, Lost, Told, Waiting, Work
from thalweg.cluster.here import Here
from thalweg.cluster.opening import open_executor
from thalweg.cluster.processes import Processes
from thalweg.cluster.raying import Ray

__all__ = [
    "Done",
    "Executor",
    "Happening",
    "Here",
    "Lost",
    "Processes",
    "Ray",
    "Told",
    "Waiting",
    "Work",
    "open_executor",
]
