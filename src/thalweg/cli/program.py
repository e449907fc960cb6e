"""The program: its commands, and what becomes of what they raise."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from thalweg import __version__
from thalweg.cli import (
    completion,
    curvature,
    data,
    evaluate,
    export,
    find_lr,
    landscape,
    model,
    optimizers,
    predict,
    race,
    recipes,
    report,
    resume,
    runs,
    schedules,
    show,
    slice,
    study,
    sweep,
    train,
    tune,
)
from thalweg.cli.parser import Parser
from thalweg.errors import SpecError, ThalwegError
from thalweg.runtime import rank

DONE, FAILED, WRONG_USAGE, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141
"""Exit codes; the last two are a shell's for SIGINT and SIGPIPE."""

_SETTABLE = {
    "train": train,
    "sweep": sweep,
    "race": race,
    "tune": tune,
    "find-lr": find_lr,
    "study": study,
    "resume": resume,
    "data": data,
    "model": model,
}
"""Commands whose options come from the spec and the registries."""


def build(command: str | None = None) -> Parser:
    """Return the parser of the whole program.

    Args:
        command: The command whose options are needed; None for those of all. The options that
            come from the registries need torch, which takes longer to import than the other
            commands take to run.
    """
    parser = Parser(
        prog="thalweg",
        description="Train neural networks, and see how they got where they are.",
        examples=[
            "thalweg train digits",
            "thalweg train mnist --model lab-mlp --optimizer adam --lr 1e-3",
            "thalweg train --recipe perfect-fit",
            "thalweg sweep digits --over lr=1e-3..1 --seeds 3",
            "thalweg race digits --optimizers sgd,momentum,adam",
            "thalweg find-lr digits --optimizer muon",
            "thalweg study memorise digits",
            "thalweg tune digits --optimizers sgd,momentum,adam",
            "thalweg runs",
            "thalweg landscape first",
            "thalweg COMMAND --help",
        ],
    )
    parser.add_argument("--version", action="version", version=f"thalweg {__version__}")
    commands = parser.commands()
    for name in ("train", "sweep", "race", "tune", "find-lr", "study", "resume"):
        _SETTABLE[name].add(commands, with_settings=command in {None, name})
    for each in (
        runs, show, report, landscape, curvature, slice, evaluate, predict, export,
    ):  # fmt: skip
        each.add(commands)
    for name in ("data", "model"):
        _SETTABLE[name].add(commands, with_settings=command in {None, name})
    optimizers.add(commands)
    schedules.add(commands)
    recipes.add(commands)
    completion.add(commands, build)
    return parser


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if rank():  # of several processes that do the same, the first tells
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until the end
    try:
        try:
            code = _run(words)
        except SystemExit as stop:  # --help and --version
            code = int(stop.code or DONE)
        sys.stdout.flush()
    except ThalwegError as error:
        return _report(error, as_json="--json" in words)
    except KeyboardInterrupt:
        if not rank():
            print("thalweg: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has enough. Python would complain while it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return code


def _run(words: Sequence[str]) -> int:
    command = next((word for word in words if not word.startswith("-")), "")
    found = build(command).read(words)
    if "action" not in found:
        found.parser.print_help(sys.stderr)
        return WRONG_USAGE
    return int(found.action(found))


def _report(error: ThalwegError, *, as_json: bool) -> int:
    if as_json:
        kind = type(error).__name__
        parts = {"got": error.got, "expected": error.expected, "hint": error.hint}
        print(json.dumps({"event": "error", "kind": kind, **parts}), flush=True)
    if not rank():
        print("thalweg:", " ".join(str(error).split()), file=sys.stderr)
    return WRONG_USAGE if isinstance(error, SpecError) else FAILED
