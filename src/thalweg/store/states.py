"""The recorded states of a member of a series on disk: a few files of many states each."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.errors import FileError
from thalweg.files import inside, make_folder, remove
from thalweg.store.checkpoint import read_checkpoint, read_facts, write_checkpoint

if TYPE_CHECKING:
    from torch import Tensor


class StateFiles:
    """Files ``step-….safetensors``, each with the states from that step on to the next file.

    A file holds ``theta``, (T, P), flat vectors in the layout of a stack; beside it the ``steps``
    after which they were taken, and ``places``: where each parameter begins, and its shape. They
    are read one by one, and only the last one that was read stays in memory.

    Args:
        folder: The series' folder.
        number: The member.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     files = StateFiles(Path(folder), 3)
        ...     files.write({0: torch.zeros(1, 2), 5: torch.ones(1, 2)}, {"w": (0, [2])})
        ...     files.keep({5})
        ...     files.steps(), files.read(5)
        ([5], tensor([[1., 1.]]))
    """

    def __init__(self, folder: Path, number: int) -> None:
        self._home, self._name = folder, f"states/member-{number:05d}"
        self._last: tuple[Path, list[int], Tensor] | None = None

    def steps(self) -> list[int]:
        """Return the steps of the states, rising.

        Raises:
            FileError: A file is damaged, or holds something else.
        """
        return [step for file in self._files() for step in self._steps(file)]

    def read(self, step: int) -> Tensor:
        """Return a state, (1, P).

        Raises:
            FileError: It is not there; or its file is damaged.
        """
        if self._last is None or step not in self._last[1]:
            before = [file for file in self._files() if _first(file) <= step]
            if not before:
                raise FileError(f"{self._home / self._name} without step {step}", "its states")
            self._last = self._read(before[-1])
        file, steps, theta = self._last
        if step not in steps:
            raise FileError(f"{file} without step {step}", "the states of its member")
        row = steps.index(step)
        return theta[row : row + 1].clone()

    def write(self, states: Mapping[int, Tensor], places: Mapping[str, Any]) -> None:
        """Write further states into a file of their own.

        Args:
            states: States, (1, P), by step, rising; later than those that there are.
            places: Where each parameter begins, and its shape, by name.

        Raises:
            FileError: It cannot be written.
        """
        import torch

        make_folder(self._home / self._name)
        steps = list(states)
        self._write(self._file(steps[0]), steps, torch.cat(list(states.values())), places)

    def keep(self, steps: Collection[int]) -> None:
        """Remove all other states.

        Raises:
            FileError: A file cannot be written or removed; or one is damaged.
        """
        for file in self._files():
            there = self._steps(file)
            kept = [step for step in there if step in steps]
            if not kept:
                remove(file)
            elif kept != there:
                _, _, theta = self._read(file)
                rows = [there.index(step) for step in kept]
                self._write(self._file(kept[0]), kept, theta[rows], read_facts(file)["places"])
                if kept[0] != there[0]:
                    remove(file)
        self._last = None

    def forget(self) -> None:
        """Remove all states, whatever the files hold.

        Raises:
            FileError: A file cannot be removed.
        """
        for file in self._files():
            remove(file)

    def _files(self) -> list[Path]:
        found = inside(self._home, self._name).glob("step-*.safetensors")
        return sorted(file for file in found if re.fullmatch(r"step-\d{9,18}", file.stem))

    def _file(self, step: int) -> Path:
        return inside(self._home, f"{self._name}/step-{step:09d}.safetensors")

    def _write(
        self, file: Path, steps: Sequence[int], theta: Tensor, places: Mapping[str, Any]
    ) -> None:
        write_checkpoint(file, {"theta": theta}, {"steps": list(steps), "places": dict(places)})

    def _steps(self, file: Path) -> list[int]:
        found = read_facts(inside(file.parent, file.name)).get("steps")
        steps = [step for step in found if type(step) is int] if isinstance(found, list) else []
        if not steps or steps != found or steps != sorted(set(steps)) or steps[0] != _first(file):
            raise FileError(f"{file} of steps {found}", "states from its step on")
        return steps

    def _read(self, file: Path) -> tuple[Path, list[int], Tensor]:
        steps = self._steps(file)
        theta = read_checkpoint(inside(file.parent, file.name)).arrays.get("theta")
        if theta is None or theta.dim() != 2 or len(theta) != len(steps):
            raise FileError(f"{file} without its {len(steps)} states", "the states of its member")
        return file, steps, theta


def _first(file: Path) -> int:
    return int(file.stem.removeprefix("step-"))
