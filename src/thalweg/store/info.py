"""What ``run.json`` holds."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from thalweg.store.version import FORMAT

State = Literal[
    "running", "complete", "until", "patience", "time", "diverged", "interrupted", "killed"
]
"""``killed`` is a run that says it is running while nobody writes to it."""

GOES_ON = {"interrupted", "killed"}
"""States of runs that `resume` goes on with."""


class DataFacts(BaseModel):
    """What must be known of the data to use the network without them.

    Args:
        name: What they are called.
        task: What the network is for.
        input_shape: Shape of a sample.
        classes: Names of the classes; none for a regression.
        mean: What was subtracted from a sample, as nested lists that broadcast against it.
        std: What it was then divided by.
        samples: Samples of each split.
        fingerprint: A hash, by which the same data are known again.
        targets: Numbers that a regression gives for a sample; 0 for classes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    task: Literal["classification", "regression"]
    input_shape: list[int]
    classes: list[str]
    mean: list[Any]
    std: list[Any]
    samples: dict[str, int]
    fingerprint: str
    targets: int = 0


class Info(BaseModel):
    """What ``run.json`` holds.

    Args:
        format: Version of the folder's layout.
        name: Name of the run.
        tags: Words to find it by.
        created: When, in ISO 8601.
        state: How it stands; ``running`` also if it was killed.
        own: What was given in Python rather than named in the spec: model, data, loss, metrics.
        parameters: Trainable numbers.
        data: What must be known of the data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: int
    name: str
    tags: list[str]
    created: str
    state: State
    own: list[str]
    parameters: int
    data: DataFacts


def new_info(**facts: Any) -> Info:
    """Return the facts of a run that begins now."""
    created = datetime.now().astimezone().isoformat(timespec="seconds")
    return Info(format=FORMAT, created=created, state="running", **facts)
