from __future__ import annotations

from thalweg.cli.docstrings import argument_help


def without() -> None: ...


def documented(a: int, b: int, c: int) -> None:
    """Do nothing.

    Args:
        a: The first; it is ignored.
        b: ``half`` of a text that goes on
            in the next line. And more.

        c: last

    Returns:
        d: Nothing.
    """


def test_argument_help() -> None:
    assert argument_help(without) == {}
    assert argument_help(documented) == {
        "a": "the first",
        "b": "half of a text that goes on in the next line",
        "c": "last",
    }
