"""What a docstring says of arguments."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any


def argument_help(thing: Callable[..., Any]) -> dict[str, str]:
    """Return the first clause on each argument in a docstring of Google's style.

    Example:
        >>> argument_help(argument_help)
        {'thing': 'a function or a class'}

    Args:
        thing: A function or a class; it may lack a docstring.
    """
    match = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)+)", inspect.getdoc(thing) or "", re.MULTILINE)
    if match is None:
        return {}
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", match[1], re.MULTILINE)
    return {name: _clause(text) for name, text in entries}


def _clause(text: str) -> str:
    """Return a text up to its first full stop or semicolon, without markup."""
    plain = " ".join(text.split()).replace("``", "")
    clause = re.split(r"[.;](?:\s|$)", plain, maxsplit=1)[0]
    return clause[:1].lower() + clause[1:]
