"""The command line: one function a command."""

from __future__ import annotations

from collections.abc import Sequence

from thalweg.runtime import configure_runtime

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command of ``thalweg``.

    Args:
        arguments: What follows the program's name; the process's own if None.

    Returns:
        The exit code: 0 done, 1 the run failed or diverged, 2 wrong usage, 130 interrupted.

    Example:
        >>> main(["recipes", "lab"])  # doctest: +ELLIPSIS
        # 784-16-32-24-10 on MNIST with plain SGD: three epochs of the training lab.
        ...
        0
    """
    configure_runtime()  # before anything imports torch
    from thalweg.cli.program import run

    return run(arguments)
