"""``thalweg completion``: scripts that let a shell complete commands, options and names."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

from thalweg.cli.parser import Commands, Namespace, Parser
from thalweg.errors import SpecError, nearest

SHELLS = ("bash", "zsh", "tcsh")


def add(commands: Commands, build: Callable[[], Parser]) -> None:
    """Add the command; ``build`` returns the parser whose words are completed."""
    parser = commands.add_parser(
        "completion",
        help="print a script that completes commands and options",
        description="Print a script that completes commands, options and names in a shell.",
        examples=[
            "thalweg completion bash > ~/.local/share/bash-completion/completions/thalweg",
            "thalweg completion zsh > ~/.zfunc/_thalweg    # with fpath+=~/.zfunc before compinit",
            "thalweg completion tcsh > ~/.thalweg.tcsh     # and source it in ~/.tcshrc",
        ],
    )
    parser.add_argument("shell", metavar="SHELL", help=", ".join(SHELLS))
    parser.set_defaults(action=lambda arguments: completion(arguments, build))


def completion(arguments: Namespace, build: Callable[[], Parser]) -> int:
    """Print the script for a shell.

    The words are in the script, so that completing starts no Python.

    Raises:
        SpecError: The shell is not one of those that are supported.
    """
    if arguments.shell not in SHELLS:
        hint = nearest(arguments.shell, SHELLS)
        raise SpecError(f"the shell {arguments.shell!r}", "a shell by name", hint)
    import shtab

    from thalweg.cli.landscape import KINDS
    from thalweg.cli.registered import NAMES
    from thalweg.cli.settings import settings
    from thalweg.recipes import recipes

    names = {setting.key: setting.words for setting in settings()}
    names |= {"source": tuple(NAMES["data"]()), "recipe": tuple(recipes()), "shell": SHELLS}
    names["directions"] = KINDS
    parser = build()
    for action in _actions(parser):
        if found := names.get(action.dest):
            action.choices = found
        elif action.dest in {"spec", "out", "images", "to", "plot"}:
            vars(action)["complete"] = shtab.FILE
        elif action.dest in {"folder", "root", "run", "runs", "a", "b"}:
            vars(action)["complete"] = shtab.DIRECTORY
    print(shtab.complete(parser, shell=arguments.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the arguments of a parser and of its commands; argparse has no public way to them."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
