from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from thalweg.cli.facts import facts_of
from thalweg.cli.listing import print_runs
from thalweg.store import RunFolder

Told = Callable[..., tuple[str, str]]


def names(out: str) -> list[str]:
    return [json.loads(line)["name"] for line in out.splitlines()]


def test_the_list_is_by_the_time_they_began(told: Told, runs: Path) -> None:
    out, err = told("runs")
    head, _, *rows = out.splitlines()
    assert head.split() == [
        "name", "state", "data", "model", "optimizer", "lr", "epoch", "result", "seconds",
        "created", "tags",
    ]  # fmt: skip
    by_name = {row.split()[0]: row for row in rows}
    assert set(by_name) == {each.name for each in runs.iterdir()}
    first = by_name["first"].split()
    assert first[1:7] == ["complete", "digits", "mlp", "adam", "0.01", "0.6"]
    assert first[7] == "test"
    assert first[9] == "%"
    assert by_name["first"].endswith("good, try")
    assert " test loss " in by_name["values"]
    assert by_name["never"].split()[5:8] == ["0.001", "0.521739", "–"]
    assert "diverged" in by_name["lost"]
    assert "interrupted" in by_name["halted"]
    assert err == ""


def test_the_list_in_json(told: Told, runs: Path) -> None:
    out, _ = told("runs", "--json", "--filter", "name=first")
    (facts,) = [json.loads(line) for line in out.splitlines()]
    assert facts["folder"] == str(runs / "first")
    assert facts["tags"] == ["good", "try"]
    assert facts["model.hidden"] == [16]
    assert facts["step"] == 12
    assert 0 <= facts["test_accuracy"] <= 1


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--filter", "lr>=0.01", "state=complete"], {"first", "second"}),
        (["--filter", "lr>=0.01", "--filter", "optimizer=adam"], {"first"}),
        (["--filter", "data=circle"], {"points"}),
        (["--filter", "model.norm=batch"], {"second", "mean"}),
        (["--filter", "hidden!=16"], {"own"}),
        (["--filter", "tags=good"], {"first"}),
        (["--filter", "val=0.1", "step<10"], {"halted"}),
        (["--filter", "stratified=true"], set()),
        (["--filter", "val_loss>0"], {"first"}),
        (["--filter", "patience=none", "batch_size=64", "name=first"], {"first"}),
        (["--filter", "state=lost"], set()),
        (["--tag", "good", "--tag", "try"], {"first"}),
        (["--tag", "bad"], set()),
    ],
)
def test_filters(words: list[str], found: set[str], told: Told, runs: Path) -> None:
    out, _ = told("runs", "--json", *words)
    assert set(names(out)) == found


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--filter", "lr"], "got --filter 'lr'; expected KEY=VALUE or KEY>=NUMBER. Hint: as in"),
        (["--filter", "lr>=big"], "got --filter 'lr>=big'; expected a number after >="),
        (["--filter", "lrr=1"], "got the key 'lrr'; expected a setting, a metric or a fact. Hint:"),
        (["--sort", "test_acuracy"], "did you mean test_accuracy?"),
        (["nix"], "got the command 'nix'; expected a command of thalweg runs"),
    ],
)
def test_what_cannot_be_asked(words: list[str], line: str, told: Told, runs: Path) -> None:
    out, err = told("runs", *words, code=2)
    assert out == ""
    assert line in err
    assert err.count("\n") == 1


def test_sorting_puts_what_lacks_the_key_last(told: Told, runs: Path) -> None:
    rising = names(told("runs", "--json", "--sort", "test_accuracy")[0])
    falling = names(told("runs", "--json", "--sort", "test_accuracy", "--reverse")[0])
    assert set(rising[-4:]) == set(falling[-4:]) == {"values", "never", "lost", "halted"}
    assert rising[:-4] == falling[:-4][::-1]
    words = names(told("runs", "--json", "--sort", "state")[0])
    assert words[-1] == "halted"
    began = names(told("runs", "--json")[0])
    assert names(told("runs", "--json", "--reverse")[0]) == began[::-1]


def test_no_runs(told: Told, runs: Path, tmp_path: Path) -> None:
    assert told("runs", "--root", tmp_path / "none") == ("", "no runs in none\n")
    assert told("runs", "--root", tmp_path, "--sort", "lr") == ("", "no runs in .\n")
    assert told("runs", "--root", tmp_path, "--json") == ("", "")
    assert told("runs", "--tag", "bad")[1].endswith(" of that sort\n")


def test_damaged_runs_are_listed_with_what_is_wrong(told: Told, copied: Path) -> None:
    (copied / "first" / "run.json").write_text("{")
    (copied / "points" / "metrics" / "epochs" / "part-00000.parquet").write_bytes(b"PAR1")
    (copied / "never" / "run.json").unlink()
    (copied / "empty").mkdir()
    out, _ = told("runs")
    table, _, complaints = out.partition("\n\n")
    damaged = [row.split()[0] for row in table.splitlines() if " damaged " in row]
    assert sorted(damaged) == ["first", "never", "points"]
    assert "first is damaged: got runs/first/run.json (damaged)" in complaints
    assert "points is damaged: got runs/points/metrics/epochs/part-00000.parquet" in complaints
    assert "never is damaged: got runs/never/run.json (missing)" in complaints
    found = [json.loads(line) for line in told("runs", "--json")[0].splitlines()]
    assert {each["name"] for each in found if "error" in each} == set(damaged)
    assert names(told("runs", "--json", "--filter", "state=damaged", "name!=never")[0]) == [
        "first", "points",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "kept"), [(200, {"created", "model"}), (80, {"result"}), (40, {"name", "state"})]
)
def test_a_narrow_terminal_leaves_columns_out(
    columns: int,
    kept: set[str],
    made: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", str(columns))
    print_runs([facts_of(RunFolder.open(made / name)) for name in ("first", "second", "halted")])
    lines = capsys.readouterr().out.splitlines()
    titles = set(lines[0].split())
    assert kept <= titles
    assert ("created" in titles) == (columns == 200)
    if columns >= 80:
        assert max(map(len, lines)) <= columns
        assert len(lines) == 5


def test_the_list_needs_no_torch(made: Path) -> None:
    code = (
        "import sys\n"
        "from thalweg.cli import main\n"
        f"main(['runs', '--root', {str(made)!r}])\n"
        f"main(['show', {str(made / 'first')!r}])\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


# ── rename, tag ──────────────────────────────────────────────────────────────────────────────────


def test_rename(told: Told, copied: Path) -> None:
    assert told("runs", "rename", "first", "the best")[0] == "runs/first is called the best\n"
    assert RunFolder.open(copied / "first").name == "the best"
    assert told("show", "the best")[0].startswith("run          the best\n")
    told("runs", "rename", "the best", "the best")


@pytest.mark.parametrize("name", ["", "  ", "a/b", "two\nlines", "second"])
def test_a_name_that_a_run_cannot_have(name: str, told: Told, copied: Path) -> None:
    _, err = told("runs", "rename", "first", name, code=2)
    assert err.startswith("thalweg: got the name ")
    assert RunFolder.open(copied / "first").name == "first"


def test_two_runs_of_one_name_are_told_apart_by_their_folders(told: Told, copied: Path) -> None:
    for name in ("first", "second"):
        folder = RunFolder.open(copied / name)
        folder.change(name="same")
    _, err = told("show", "same", code=1)
    assert "'same', the name of 2 runs" in err
    assert "runs/first, runs/second" in err
    head = told("show", "first", "second")[0].splitlines()[0].split()
    assert head == ["runs/first", "runs/second"]


def test_tags(told: Told, copied: Path) -> None:
    assert told("runs", "tag", "second", "b", "a", "b")[0] == "second: b, a\n"
    assert told("runs", "tag", "second", "c", "--remove", "b")[0] == "second: a, c\n"
    assert told("runs", "tag", "second")[0] == "second: a, c\n"
    assert RunFolder.open(copied / "second").tags == ("a", "c")
    told("runs", "tag", "second", "--remove", "a", "--remove", "c")
    assert told("runs", "tag", "second")[0] == "second: no tags\n"
    assert "it has none" in told("runs", "tag", "second", "--remove", "a", code=2)[1]
    assert "known: good, try" in told("runs", "tag", "first", "--remove", "a", code=2)[1]


# ── move, delete ─────────────────────────────────────────────────────────────────────────────────


def test_move(told: Told, copied: Path, tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    assert told("runs", "move", "first", "archive")[0] == "first is in archive/first\n"
    assert told("runs", "move", "archive/first", "new/place")[0] == "first is in new/place\n"
    assert RunFolder.open(tmp_path / "new" / "place").checkpoint().facts["updates"] == 12
    assert not (copied / "first").exists()


def test_nothing_is_moved_onto_something(told: Told, copied: Path) -> None:
    _, err = told("runs", "move", "first", "runs/second", code=1)
    assert "got runs/second, which is there already" in err
    _, err = told("runs", "move", "first", "runs", code=1)
    assert "got runs/first, which is there already" in err
    assert RunFolder.open(copied / "first").name == "first"


def test_delete_asks(told: Told, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, err = told("runs", "delete", "first", code=2)
    assert "got no terminal to ask on; expected --yes" in err
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    _, err = told("runs", "delete", "first", "second", code=1)
    assert "runs/first  0." in err
    assert err.endswith("delete 2 runs? [y/N] nothing is deleted\n")
    assert (copied / "first").exists()
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert told("runs", "delete", "first")[0] == "deleted runs/first\n"
    assert not (copied / "first").exists()
    assert told("runs", "delete", "second", copied / "second", "--yes")[0].count("deleted") == 1


class Terminal:
    def __init__(self, answer: str) -> None:
        self.answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self.answer


def test_delete_does_not_follow_links(told: Told, copied: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (copied / "first" / "figures").symlink_to(outside)
    (copied / "alias").symlink_to(copied / "second")
    told("runs", "delete", "first", "alias", "--yes")
    assert (outside / "kept").read_text() == "kept"
    assert (copied / "second" / "run.json").exists()
    assert not os.path.lexists(copied / "alias")
    assert not (copied / "first").exists()


def test_delete_of_damaged_runs(told: Told, copied: Path) -> None:
    (copied / "first" / "run.json").write_text("{")
    (copied / "second" / "run.json").unlink()
    told("runs", "delete", "first", "second", "--yes")
    assert not (copied / "first").exists()
    assert not (copied / "second").exists()


def test_what_is_no_run_is_not_deleted(told: Told, copied: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    _, err = told("runs", "delete", "first", "notes", "--yes", code=1)
    assert "got 'notes', which is no run" in err
    (tmp_path / "notes" / "run.json").write_text("[]")  # of another program
    _, err = told("runs", "delete", "first", "notes", "--yes", code=1)
    assert "got notes/run.json" in err
    assert (tmp_path / "notes").exists()
    assert (copied / "first").exists()


def test_a_run_that_is_being_written_is_left_alone(told: Told, copied: Path) -> None:
    commands = (
        ("delete", "first", "--yes"),
        ("rename", "first", "other"),
        ("tag", "first", "other"),
        ("move", "first", "elsewhere"),
    )
    before = (copied / "first" / "run.json").read_bytes()
    with RunFolder.open(copied / "first").locked():
        for words in commands:
            _, err = told("runs", *words, code=1)
            assert "got runs/first, which another process is writing" in err
        _, err = told("resume", "first", "--epochs", 2, code=1)
        assert "which another process is writing" in err
    assert (copied / "first" / "run.json").read_bytes() == before


@pytest.mark.parametrize("command", ["show", "report", "resume", "evaluate"])
def test_a_run_that_does_not_exist(command: str, told: Told, runs: Path) -> None:
    out, err = told(command, "frist", code=1)
    assert out == ""
    assert err == (
        "thalweg: got 'frist', which does not exist; expected the folder or the name of a run. "
        "Hint: did you mean first? known: first, halted, lost, mean, mine, never, own, points, "
        "second, values\n"
    )
    assert "got '.', which is no run" in told(command, ".", code=1)[1]
    assert "which does not exist" in told(command, "x" * 5000, code=1)[1]
