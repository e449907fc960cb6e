"""The folder of a race: one series for each round of its tuning, and one for the race itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from thalweg.files import claim_folder, write_atomically
from thalweg.spec import Spec
from thalweg.store.undertaking import Undertaking, Undertakings


class RaceInfo(Undertaking):
    """What ``race.json`` holds, beside what `Undertaking` says.

    Args:
        contestants: Names, or settings.
        seeds: Seeds of the race itself.
        order: Whether all see the samples in one order, or each in that of its seed.
        tune: Whether learning rates are tuned.
        tuning_seeds: Seeds that they are tuned with.
        metric: What decides.
        target: What is to be reached, as in ``val_accuracy>=0.9``; chosen afterwards if None.
        step_seconds: Seconds of an update of each contestant alone, once that was measured.
        ways: About how many states each contestant records, with the first seed.
    """

    contestants: list[str | dict[str, Any]]
    seeds: list[int]
    order: Literal["shared", "own"]
    tune: bool
    tuning_seeds: list[int]
    metric: str
    target: str | None
    step_seconds: dict[str, float]
    ways: int = 0


_RACES = Undertakings(
    RaceInfo, "race.json", "race", "races",
    "its parts hold their results as Parquet: final/results.parquet, tuning-00/…",
)  # fmt: skip

is_race, read_race, write_race = _RACES.holds, _RACES.read, _RACES.write
locate_race, survey_races = _RACES.locate, _RACES.survey


def new_race_info(**facts: Any) -> RaceInfo:
    """Return the facts of a race that begins now."""
    return RaceInfo.new(step_seconds={}, **facts)


def create_race(path: Path, info: RaceInfo, spec: Spec) -> None:
    """Make the folder of a new race.

    ::

        race.json       name, state, contestants, seeds, what decides
        spec.toml       what all contestants have in common
        tuning-00/ …    a series for each round of the tuning
        final/          the race itself, a series

    Raises:
        FileError: There is something already, or it cannot be written.
    """
    claim_folder(path)
    write_atomically(path / "spec.toml", spec.to_toml())
    write_race(path, info)  # last: a folder is a race once it is whole
