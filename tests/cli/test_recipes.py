from __future__ import annotations

import pytest

from thalweg.cli import main
from thalweg.recipes import load_recipe, recipes
from thalweg.spec import Spec


def test_the_recipes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split()[0] for row in rows] == list(recipes())
    assert [row.split(maxsplit=1)[1].rstrip() for row in rows] == list(recipes().values())


@pytest.mark.parametrize("name", sorted(recipes()))
def test_a_recipe_is_printed_as_it_is_written(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["recipes", name]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# ")
    assert Spec.from_toml(text) == load_recipe(name)


def test_an_unknown_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "lba"]) == 2
    assert "did you mean lab?" in capsys.readouterr().err
