from __future__ import annotations

import pytest

from thalweg.cli.parser import Parser
from thalweg.errors import SpecError


@pytest.fixture
def parser() -> Parser:
    parser = Parser(prog="tool", examples=["tool dig --deep 3"])
    dig = parser.commands().add_parser("dig")
    dig.add_argument("where")
    dig.add_argument("--deep", metavar="N")
    dig.add_argument("--wet", action="store_true")
    either = dig.add_mutually_exclusive_group()
    either.add_argument("--up", action="store_true")
    either.add_argument("--down", action="store_true")
    return parser


def test_words_are_read(parser: Parser) -> None:
    found = parser.read(["dig", "here", "--deep", "-3"])
    assert (found.where, found.deep, found.wet) == ("here", "-3", False)


@pytest.mark.parametrize(
    ("words", "got", "expected", "hint"),
    [
        ("dgi", "the command 'dgi'", "a command of tool", "did you mean dig? known: dig"),
        ("dig", "no where", "where", "see tool dig --help"),
        ("dig here --deep", "--deep without a value", "a value after it", "see tool dig --help"),
        ("dig here --wet=3", "--wet='3'", "--wet alone", "see tool dig --help"),
        ("dig here --up --down", "--down and --up", "one of the two", "see tool dig --help"),
        (
            "dig here --dep 3",
            "the unknown option --dep",
            "an option of tool dig",
            "did you mean --deep? see tool dig --help",
        ),
        (
            "dig here --xyz=3",
            "the unknown option --xyz",
            "an option of tool dig",
            "see tool dig --help",
        ),
    ],
)
def test_complaints(parser: Parser, words: str, got: str, expected: str, hint: str) -> None:
    with pytest.raises(SpecError) as caught:
        parser.read(words.split())
    assert (caught.value.got, caught.value.expected, caught.value.hint) == (got, expected, hint)


def test_a_word_too_many_says_how_lists_are_written(parser: Parser) -> None:
    with pytest.raises(SpecError, match=r"'11' left over.*lists have commas"):
        parser.read(["dig", "--deep", "10", "here", "11"])


def test_what_argparse_may_say_otherwise_is_passed_on(parser: Parser) -> None:
    with pytest.raises(SpecError, match="got something new; expected the usage of tool"):
        parser.error("something new")


def test_help_ends_with_examples(parser: Parser) -> None:
    assert parser.format_help().endswith("examples:\n  tool dig --deep 3\n")
