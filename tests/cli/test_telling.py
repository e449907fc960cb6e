from __future__ import annotations

import pytest

from thalweg.cli.telling import Lines
from thalweg.engine import Run
from thalweg.spec import Spec


@pytest.mark.parametrize(("columns", "first"), [(80, "train"), (120, "running"), (None, "running")])
def test_a_narrow_table_leaves_the_running_averages_out(
    columns: int | None, first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(Spec().override({"data.val": 0.1, "steps": 2}))
    report = Lines(run, columns)
    for event in run.events():
        report(event)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[0] == first
    assert lines[0].split()[-3:] == ["train", "val", "test"]
    assert len({len(line) for line in lines[1:3]}) == 1
    assert len(lines[1]) <= (columns or 120)


def test_a_run_that_is_never_evaluated_says_only_how_it_ended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = Run(Spec().override({"evaluate_every": "never", "steps": 1}))
    report = Lines(run)
    for event in run.events():
        report(event)
    assert capsys.readouterr().out.startswith("done after 0.04 epochs, 1 step, ")
