from __future__ import annotations

import pickle

import pytest

from thalweg.errors import (
    DataError,
    DownloadError,
    ModelError,
    SpecError,
    ThalwegError,
    nearest,
)


def test_an_error_says_what_was_got_what_was_expected_and_what_to_do():
    error = ThalwegError("batch_size=0", "a positive integer", "try 64")
    assert str(error) == "got batch_size=0; expected a positive integer. Hint: try 64"
    assert str(ThalwegError("lr=-1", "lr >= 0")) == "got lr=-1; expected lr >= 0."


@pytest.mark.parametrize("kind", [SpecError, DataError, ModelError, DownloadError])
def test_an_error_crosses_a_process_boundary_whole(kind):
    error = pickle.loads(pickle.dumps(kind("a", "b", "c")))
    assert type(error) is kind
    assert (error.got, error.expected, error.hint) == ("a", "b", "c")
    assert str(error) == "got a; expected b. Hint: c"


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (SpecError, ValueError),
        (DataError, ValueError),
        (ModelError, ValueError),
        (DownloadError, OSError),
    ],
)
def test_an_error_is_caught_by_the_name_that_python_users_expect(kind, builtin):
    assert issubclass(kind, ThalwegError)
    assert issubclass(kind, builtin)


def test_the_nearest_name_comes_first_and_a_far_one_not_at_all():
    assert nearest("momentun", ["lr", "momentum"]) == "did you mean momentum? known: lr, momentum"
    assert nearest("xyz", ["lr", "momentum"]) == "known: lr, momentum"


def test_where_there_are_many_names_the_near_one_is_enough():
    many = [f"name{number}" for number in range(21)]
    assert nearest("nam7", many) == "did you mean name7?"
    assert nearest("xyz", many).startswith("known: name0, name1, ")
