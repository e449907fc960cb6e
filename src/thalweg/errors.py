"""The errors a user can cause: what was got, what was expected, and a hint."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

MANY = 20
"""More names than these are no hint."""


class ThalwegError(Exception):
    """Base of every error that thalweg raises on purpose.

    Args:
        got: What was found, in the user's own words where possible.
        expected: What would have been right.
        hint: What to do about it; may be empty.

    Example:
        >>> print(ThalwegError("batch_size=0", "a positive integer", "try 64"))
        got batch_size=0; expected a positive integer. Hint: try 64
    """

    def __init__(self, got: str, expected: str, hint: str = "") -> None:
        self.got, self.expected, self.hint = got, expected, hint
        super().__init__(f"got {got}; expected {expected}." + (f" Hint: {hint}" if hint else ""))

    def __reduce__(self) -> tuple[type[ThalwegError], tuple[str, str, str]]:
        """Let the error cross a process boundary with its three parts."""
        return type(self), (self.got, self.expected, self.hint)


class SpecError(ThalwegError, ValueError):
    """A specification asks for something that does not exist or cannot be."""


class DataError(ThalwegError, ValueError):
    """The data are damaged, missing, or not what they claim to be."""


class ModelError(ThalwegError, ValueError):
    """The model does not fit the data, or cannot be built as asked."""


class FileError(ThalwegError, OSError):
    """A file cannot be read or written, is damaged, or is not what it should be."""


class DownloadError(ThalwegError, OSError):
    """A data set could not be fetched."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint that names what ``name`` probably meant, and what else there is.

    Where there is much else, it is listed only if nothing is near.

    Example:
        >>> nearest("adma", ["sgd", "adam"])
        'did you mean adam? known: adam, sgd'
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    listed = f"known: {', '.join(names)}"
    if not close:
        return listed
    return f"did you mean {close[0]}?" + ("" if len(names) > MANY else f" {listed}")
