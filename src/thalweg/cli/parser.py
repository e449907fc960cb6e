"""The parser of arguments: argparse, with its errors in the family's words and one look."""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from thalweg.errors import SpecError, nearest

Namespace = argparse.Namespace
Commands = Any
"""What `Parser.commands` returns; argparse keeps the type to itself."""

_COMPLAINTS = (
    (r"argument (\S+): expected .*", "{0} without a value", "a value after it"),
    (r"argument (\S+): ignored explicit argument (.*)", "{0}={1}", "{0} alone"),
    (r"argument (\S+): not allowed with argument (\S+)", "{0} and {1}", "one of the two"),
    (r"the following arguments are required: (.*)", "no {0}", "{0}"),
)
"""What argparse says, and the same in the family's words."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `SpecError` where argparse would leave the process."""

    def __init__(self, *, examples: Sequence[str] = (), **options: Any) -> None:
        lines = "\n".join(f"  {example}" for example in examples)
        super().__init__(
            allow_abbrev=False,
            formatter_class=_Layout,
            epilog=f"examples:\n{lines}" if examples else None,
            **options,
        )
        self.names: Collection[str] = ()
        self.set_defaults(parser=self)

    def commands(self) -> Commands:
        """Return what commands are added to."""
        found = self.add_subparsers(title="commands", metavar="COMMAND", prog=self.prog)
        self.names = found.choices  # fills up as commands are added
        return found

    def read(self, arguments: Sequence[str]) -> Namespace:
        """Parse arguments.

        Raises:
            SpecError: An unknown command or option, or a value too many or too few.
        """
        found, unknown = self.parse_known_args(arguments)
        if unknown:
            found.parser.refuse(unknown[0])
        return found

    def refuse(self, word: str) -> NoReturn:
        """Raise SpecError for a word that the command does not take."""
        usage = f"see {self.prog} --help"
        if not word.startswith("-"):
            hint = f"options begin with --, and lists have commas, as in 10,11; {usage}"
            raise SpecError(f"{word!r} left over", f"no more words after {self.prog}", hint)
        option = word.partition("=")[0]
        close = get_close_matches(option, self._option_string_actions, n=1, cutoff=0.5)
        meant = f"did you mean {close[0]}? " if close else ""
        raise SpecError(f"the unknown option {option}", f"an option of {self.prog}", meant + usage)

    def error(self, message: str) -> NoReturn:
        """Raise SpecError with what argparse found."""
        if match := re.match(r".*invalid choice: '(.*)' \(", message):
            hint = nearest(match[1], self.names)
            raise SpecError(f"the command {match[1]!r}", f"a command of {self.prog}", hint)
        for pattern, got, expected in _COMPLAINTS:
            if match := re.fullmatch(pattern, message):
                words = match.groups()
                hint = f"see {self.prog} --help"
                raise SpecError(got.format(*words), expected.format(*words), hint)
        raise SpecError(message, f"the usage of {self.prog}", f"see {self.prog} --help")


class _Layout(argparse.RawDescriptionHelpFormatter):
    """Descriptions as they are written, one line an option where it fits."""

    def __init__(self, prog: str) -> None:
        columns = shutil.get_terminal_size().columns
        super().__init__(prog, max_help_position=30, width=min(columns, 110) - 2)

    def add_argument(self, action: argparse.Action) -> None:
        """Leave room for the names of commands, which stand further to the right."""
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length += self._indent_increment
