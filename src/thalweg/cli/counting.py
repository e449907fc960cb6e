"""A bar on stderr for what is measured piece by piece."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class Counting:
    """A bar that shows how much of something was measured; nothing where there is no terminal.

    Args:
        what: What is counted, in the plural.
        shown: Whether to show it.

    Example:
        >>> with Counting("nodes", shown=False) as count:
        ...     count(3, 9)
    """

    def __init__(self, what: str, *, shown: bool | None = None) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[figures]}", justify="right"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            disable=not (sys.stderr.isatty() if shown is None else shown),
            auto_refresh=False,
            transient=True,
            expand=True,
        )
        self._what = what
        self._task = self._progress.add_task("preparing", total=None, figures="")

    def __enter__(self) -> Counting:
        self._progress.start()
        self._progress.refresh()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def __call__(self, done: int, whole: int) -> None:
        """Show that so many of so many were measured."""
        self._progress.update(
            self._task,
            completed=done,
            total=whole,
            description="measuring",
            figures=f"{done:,} of {whole:,} {self._what}",
        )
        self._progress.refresh()
