"""Where samples come from: images, toy sets, splits, corruptions, batches."""

from thalweg.data.batches import index_batches
from thalweg.data.dataset import Data
from thalweg.data.describe import describe
from thalweg.data.idx import read_idx
from thalweg.data.load import load_data
from thalweg.data.named import NAMED_SETS, NamedSet, fetch, known, named_set
from thalweg.data.split import Split

__all__ = [
    "NAMED_SETS",
    "Data",
    "NamedSet",
    "Split",
    "describe",
    "fetch",
    "index_batches",
    "known",
    "load_data",
    "named_set",
    "read_idx",
]
