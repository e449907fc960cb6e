"""What the README's first command does, read off the Makefile."""

import json
import shlex
from pathlib import Path

from thalweg.cli import main

MAKEFILE = Path(__file__).parents[1] / "Makefile"


def test_the_demo_trains_the_embedded_digits_to_97_percent(capsys):
    recipe = MAKEFILE.read_text().partition("\ndemo:")[2].partition("\n\n")[0]
    (line,) = [line for line in recipe.splitlines() if "/thalweg train" in line]
    command = shlex.split(line.partition("/thalweg ")[2])
    assert main([*command, "--json"]) == 0
    finished = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert finished["event"] == "finished"
    assert finished["test_accuracy"] >= 0.97
