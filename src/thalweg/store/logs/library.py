"""The client libraries of the logs: imported when they are used, and missed politely."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from thalweg.errors import ThalwegError


def check_installed(kind: str, *packages: str) -> None:
    """Check that the packages of a log are installed, without importing them.

    Args:
        kind: The name of the log, which is that of the extra, too.
        *packages: What it imports.

    Raises:
        ThalwegError: One is not installed.

    Example:
        >>> check_installed("tensorboard", "no_such_package")
        Traceback (most recent call last):
        ...
        thalweg.errors.ThalwegError: got no_such_package, which is not installed; expected ...
    """
    for package in packages:
        if find_spec(package) is None:
            raise ThalwegError(
                f"{package}, which is not installed",
                f"what writes to {kind}",
                f"pip install 'thalweg[{kind}]'",
            )


def load(module: str) -> Any:
    """Import a module of a client library."""
    if module in sys.modules:
        return import_module(module)
    with warnings.catch_warnings():
        # They warn of deprecations in one another while they load; none is ours to mend.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        return import_module(module)
