"""What to run: the spec, its sections, and how its settings are written."""

from thalweg.spec.section import Section
from thalweg.spec.sections import (
    SECTIONS,
    SHORT_KEYS,
    DataSpec,
    LookaheadSpec,
    LossSpec,
    ModelSpec,
    OptimizerSpec,
    RecordSpec,
    ScheduleSpec,
)
from thalweg.spec.spec import Spec
from thalweg.spec.text import parse_interval, parse_setting

__all__ = [
    "SECTIONS",
    "SHORT_KEYS",
    "DataSpec",
    "LookaheadSpec",
    "LossSpec",
    "ModelSpec",
    "OptimizerSpec",
    "RecordSpec",
    "ScheduleSpec",
    "Section",
    "Spec",
    "parse_interval",
    "parse_setting",
]
