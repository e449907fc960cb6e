"""Run folders: written once, read by everyone."""

from thalweg.store.checkpoint import Checkpoint, read_checkpoint, read_facts, write_checkpoint
from thalweg.store.environment import differences, environment
from thalweg.store.find import (
    Damaged,
    claim_path,
    find_run,
    list_runs,
    locate_run,
    runs_root,
    survey_runs,
)
from thalweg.store.find_series import find_series, locate_series, survey_series
from thalweg.store.folder import RunFolder
from thalweg.store.info import GOES_ON, DataFacts, Info, new_info
from thalweg.store.moving import delete_run, move_run
from thalweg.store.parquet import read_parquet, write_parquet
from thalweg.store.series import SeriesFolder, SeriesInfo, is_series, new_series_info
from thalweg.store.table import Table, read_ends, read_table

__all__ = [
    "GOES_ON",
    "Checkpoint",
    "Damaged",
    "DataFacts",
    "Info",
    "RunFolder",
    "SeriesFolder",
    "SeriesInfo",
    "Table",
    "claim_path",
    "delete_run",
    "differences",
    "environment",
    "find_run",
    "find_series",
    "is_series",
    "list_runs",
    "locate_run",
    "locate_series",
    "move_run",
    "new_info",
    "new_series_info",
    "read_checkpoint",
    "read_ends",
    "read_facts",
    "read_parquet",
    "read_table",
    "runs_root",
    "survey_runs",
    "survey_series",
    "write_checkpoint",
    "write_parquet",
]
