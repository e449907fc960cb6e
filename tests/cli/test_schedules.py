from __future__ import annotations

import json
from typing import Any

import pytest

from thalweg import optim
from thalweg.cli.program import run


def output(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run(words) == 0
    return capsys.readouterr().out


def told(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    return dict(json.loads(output(capsys, "schedule", *words, "--json")))


def test_every_schedule_is_listed_with_what_it_does(capsys):
    text = output(capsys, "schedules")
    for name, shape in optim.schedules().items():
        (line,) = (line for line in text.splitlines() if line.split("  ")[0] == name)
        assert shape.__doc__.partition("\n")[0].replace("``", "") in line
        assert all(option.name in line for option in optim.schedule_options(name))


def test_the_list_in_json(capsys):
    lines = [json.loads(line) for line in output(capsys, "schedules", "--json").splitlines()]
    found = {line["name"]: line for line in lines}
    assert list(found) == list(optim.schedules())
    assert [name for name, line in found.items() if line["reacts"]] == ["plateau"]
    assert found["step"]["options"] == [
        {"name": "step_size", "default": None, "range": "[1, inf)",
         "help": "epochs or steps from one change to the next"},
        {"name": "gamma", "default": 0.1, "range": "(0, inf)", "help": "factor of each change"},
    ]  # fmt: skip


@pytest.mark.parametrize("name", optim.schedules())
def test_each_explains_and_draws_itself_without_being_told_more(capsys, name):
    text = output(capsys, "schedule", name)
    assert optim.schedules()[name].__doc__.partition("\n")[0].replace("``", "") in text
    assert all(option.name in text for option in optim.schedule_options(name))
    assert "factor of lr over 60 epochs\n1 ┤" in text
    assert ("The metric is made up" in text) == (name == "plateau")
    facts = told(capsys, name, "--epochs", "7")
    assert (facts["per"], facts["total"], len(facts["values"])) == ("epoch", 7, 7)
    assert ("metric" in facts) == (name == "plateau")


def test_options_start_target_and_base_value(capsys):
    words = ("-s", "gamma=0.5", "-s", "schedule.step_size=2", "-s", "start=1")
    facts = told(capsys, "step", *words, "-s", "target=momentum", "--steps", "6", "--lr", "8")
    assert facts["values"] == [8.0, 8.0, 8.0, 4.0, 4.0, 2.0]
    assert facts["set"] == {"step_size": 2, "gamma": 0.5, "start": 1, "target": "momentum"}
    assert (facts["per"], facts["target"], facts["base"]) == ("step", "momentum", 8.0)
    text = output(capsys, "schedule", "step", "-s", "target=momentum", "--steps", "1", "--lr", "8")
    assert "momentum over 1 step\n8 ┤" in text


@pytest.mark.parametrize("given", ["milestones=2,4", "milestones=[2, 4]"])
def test_lists_have_commas_or_brackets(capsys, given):
    facts = told(capsys, "multistep", "-s", given, "--epochs", "5")
    assert facts["values"] == pytest.approx([1.0, 1.0, 0.1, 0.1, 0.01])
    assert told(capsys, "multistep", "-s", "milestones=2")["set"] == {"milestones": [2]}


def test_the_lengths_of_an_example_are_stretched_to_the_run(capsys):
    assert told(capsys, "multistep", "--steps", "600")["set"] == {"milestones": [300, 450]}
    assert told(capsys, "piecewise", "--steps", "600")["set"] == {
        "boundaries": [200, 400], "factors": [1.0, 0.5, 0.1]
    }  # fmt: skip
    assert told(capsys, "step", "--epochs", "1")["set"] == {"step_size": 1}


def test_a_plateau_answers_a_metric_that_levels_off(capsys):
    facts = told(capsys, "plateau", "-s", "wait=3", "-s", "minimum=0.05")
    values, metric = facts["values"], facts["metric"]
    assert sorted(set(values), reverse=True) == [1.0, 0.1, 0.05]
    drop = values.index(0.1)
    assert metric[drop - 1] == pytest.approx(1.0, rel=1e-3)
    assert metric[-1] < metric[drop]
    assert values[0] == 1.0
    late = told(capsys, "plateau", "-s", "wait=3", "-s", "start=30")["values"]
    assert late.index(0.1) == 30 + 1 + 3 + 1  # the best, three that are borne, and one too many


@pytest.mark.parametrize("name", ["cosine", "plateau"])
def test_the_picture_is_written(capsys, tmp_path, name):
    file = tmp_path / "course.html"
    words = ("schedule", name, "--plot", str(file))
    assert f"picture: {file}" in output(capsys, *words)
    page = file.read_text("utf-8")
    assert f"{name}, 60 epochs" in page
    assert ("made-up metric" in page) == (name == "plateau")
    assert told(capsys, name, "--plot", str(file))["picture"] == str(file)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cosin"], "got schedule 'cosin'; expected a schedule by name. Hint: did you mean cosine"),
        (["step", "-s", "stepsize=3"], "did you mean step_size?"),
        (["step", "-s", "step_size=0"], "step_size=0 for schedule step; expected an integer in"),
        (["step", "-s", "step_size"], "the setting 'step_size'; expected KEY=VALUE"),
        (["step", "-s", "per=step"], "-s per=step; expected an option of the schedule, start or"),
        (["step", "-s", "start=-1"], "start=-1 for schedule step"),
        (["multistep", "-s", "milestones=soon"], "milestones='soon' for schedule multistep"),
        (["step", "--steps", "2", "--epochs", "2"], "expected one of the two"),
        (["step", "--steps", "many"], "--steps many; expected a number of steps"),
        (["step", "--epochs", "0"], "--epochs 0; expected a number of epochs"),
        (["step", "--steps", "1000001"], "--steps 1000001; expected at most 1,000,000 to draw"),
        (["step", "--lr", "fast"], "--lr fast; expected a number"),
        (["step", "--lr", "-1"], "--lr -1"),
        (["step", "--lr", "inf"], "--lr inf"),
        (["step", "--plot", "lr.pdf"], "lr.pdf; expected a name that ends in .html or .png"),
        ([], "no NAME"),
    ],
)
def test_what_is_wrong_is_one_clear_error(capsys, words, message):
    assert run(["schedule", *words]) == 2
    assert message in capsys.readouterr().err
