"""What a report reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray


class Record(Protocol):
    """What a report reads of a run; the folder of a run has it all."""

    @property
    def path(self) -> Path:
        """The folder."""

    @property
    def name(self) -> str:
        """Name of the run."""

    @property
    def tags(self) -> tuple[str, ...]:
        """Words to find it by."""

    @property
    def created(self) -> str:
        """When it began, in ISO 8601."""

    @property
    def state(self) -> str:
        """``running``, ``interrupted``, ``killed``, or why it ended."""

    @property
    def spec_toml(self) -> str:
        """What was run."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What it was run on and with."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; none for a regression."""

    @property
    def parameters(self) -> int:
        """Trainable numbers."""

    @property
    def samples(self) -> Mapping[str, int]:
        """Samples of each split."""

    def steps(self) -> Mapping[str, Sequence[Any]]:
        """Return the metrics by update, as columns."""

    def epochs(self) -> Mapping[str, Sequence[Any]]:
        """Return the metrics by evaluation, as columns; None where a split was not evaluated."""

    def predictions(self) -> Mapping[str, NDArray[Any]] | None:
        """Return ``true`` and ``predicted`` classes of the test split, (n,), if there are any."""

    def mistakes(self) -> Mapping[str, NDArray[Any]] | None:
        """Return the worst mistakes, if there are any and they are pictures.

        Returns:
            ``images`` (n, C, H, W), ``true`` and ``predicted`` classes and ``probability``, (n,).
        """
