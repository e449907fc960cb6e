from __future__ import annotations

import pytest

from thalweg.cli import main
from thalweg.recipes import SweepRecipe, load_recipe, load_sweep_recipe, recipes, sweep_recipes
from thalweg.spec import Spec


def test_the_recipes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    middle = lines.index("")
    for rows, known in ((lines[2:middle], recipes()), (lines[middle + 3 :], sweep_recipes())):
        assert [row.split()[0] for row in rows] == list(known)
        assert [row.split(maxsplit=1)[1].rstrip() for row in rows] == list(known.values())


@pytest.mark.parametrize("name", sorted(recipes()))
def test_a_recipe_is_printed_as_it_is_written(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["recipes", name]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# ")
    assert Spec.from_toml(text) == load_recipe(name)


@pytest.mark.parametrize("name", sorted(sweep_recipes()))
def test_the_recipe_of_a_sweep_is_printed_as_it_is_written(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["recipes", name]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# ")
    assert SweepRecipe.from_toml(text) == load_sweep_recipe(name)


def test_an_unknown_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "lba"]) == 2
    assert "did you mean lab?" in capsys.readouterr().err
