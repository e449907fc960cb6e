from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from thalweg.cli.program import build

PAGE = Path(__file__).resolve().parents[2] / "docs" / "command-line.md"


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not below or parser.get_default("action"):
        yield parser
    for action in below:
        for command in action.choices.values():
            yield from commands(command)


COMMANDS = list(commands(build("")))


@pytest.mark.parametrize("parser", COMMANDS, ids=[parser.prog for parser in COMMANDS])
def test_every_command_is_on_its_page(parser: argparse.ArgumentParser) -> None:
    text = PAGE.read_text("utf-8")
    assert re.search(rf"^(`.*, )?`{parser.prog}\b", text, re.MULTILINE)


@pytest.mark.parametrize("parser", COMMANDS, ids=[parser.prog for parser in COMMANDS])
def test_every_argument_says_what_it_means(parser: argparse.ArgumentParser) -> None:
    found = [a for a in parser._actions if not isinstance(a, argparse._SubParsersAction)]
    assert [action.dest for action in found if not action.help] == []


@pytest.mark.parametrize(
    "command",
    [
        "train",
        "sweep",
        "race",
        "resume",
        "runs",
        "show",
        "report",
        "evaluate",
        "predict",
        "export",
        "landscape",
        "slice",
        "curvature",
    ],
)
def test_the_options_of_a_command_that_are_no_settings_are_on_the_page(command: str) -> None:
    found = next(parser for parser in COMMANDS if parser.prog == f"thalweg {command}")
    options = set(found._option_string_actions) - {"-h", "--help"}
    assert [option for option in options if option not in PAGE.read_text("utf-8")] == []


def test_every_event_of_json_is_on_the_page() -> None:
    text = PAGE.read_text("utf-8")
    events = "started step evaluated diverged finished interrupted error planned row complete"
    for event in events.split():
        assert f"| `{event}` |" in text
