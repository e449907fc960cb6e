"""``thalweg show``: what a run, a sweep or a race was and came to, or what sets runs apart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from thalweg.cli.parser import Commands, Namespace
from thalweg.cli.text import place, typed
from thalweg.errors import SpecError, nearest

if TYPE_CHECKING:
    from thalweg.plots.columns import Columns
    from thalweg.store import RunFolder

_DEFAULT = Path()
"""What --plot alone stands for."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "show",
        help="show a run, a sweep or a race, or compare several runs",
        description=(
            "Show what a run was, how it ended, what it came to, its checkpoints and how to\n"
            "go on. Of several runs show side by side what differs in their specs, and what\n"
            "they came to. Of a sweep or a race show its tables."
        ),
        usage="thalweg show RUN… [--plot [FILE]] [options]",
        examples=[
            "thalweg show first",
            "thalweg show first second",
            "thalweg show first --plot",
            "thalweg show first second --plot both.png --metric accuracy",
            "thalweg show first --json | jq .checkpoints",
            "thalweg show runs/sweep",
        ],
    )
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        help="folders or names of runs; or one sweep or race",
    )
    parser.add_argument(
        "--plot",
        metavar="FILE",
        nargs="?",
        type=Path,
        const=_DEFAULT,
        help="draw curves, too, as .html or .png (in the run's folder, or comparison.html)",
    )
    parser.add_argument(
        "--metric", metavar="NAME", default="loss", help="with --plot, what to draw (loss)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a run")
    parser.set_defaults(action=show)


def show(arguments: Namespace) -> int:
    """Show a run, or compare several.

    Raises:
        ThalwegError: There is no such run, it is damaged, or the picture cannot be written.
    """
    from thalweg.cli.comparing import print_comparison
    from thalweg.cli.describing import everything, print_run
    from thalweg.store import find_run, locate_series
    from thalweg.store.race import locate_race
    from thalweg.store.tune import locate_tune

    if len(arguments.runs) == 1 and (path := locate_race(arguments.runs[0])) is not None:
        return _show_race(path, arguments)
    if len(arguments.runs) == 1 and (path := locate_tune(arguments.runs[0])) is not None:
        return _show_tune(path, arguments)
    if len(arguments.runs) == 1 and (path := locate_series(arguments.runs[0])) is not None:
        return _show_sweep(path, arguments)
    file = arguments.plot
    if file not in {None, _DEFAULT} and file.suffix not in {".html", ".png"}:
        hint = "--plot goes last, or before another option"
        raise SpecError(f"--plot {file}", "a name that ends in .html or .png", hint)
    runs = [find_run(name) for name in arguments.runs]
    if file is not None:
        file = _plot(runs, arguments.metric, None if file == _DEFAULT else file)
    if arguments.json:
        for run in runs:
            facts = everything(run) | {"picture": file and str(file)}
            print(json.dumps(facts, ensure_ascii=False))
        return 0
    if len(runs) == 1:
        print_run(runs[0])
    else:
        print_comparison(runs)
    if file is not None:
        print(f"\npicture: {place(file)}")
    return 0


def _show_sweep(path: Path, arguments: Namespace) -> int:
    """Show a sweep.

    Raises:
        ThalwegError: It is damaged, no sweep, or a picture is asked for.
    """
    from thalweg.cli.series import everything, print_sweep
    from thalweg.store import SeriesFolder
    from thalweg.study import load_sweep

    if arguments.plot is not None:
        raise SpecError(f"--plot for {place(path)}, a sweep", "a run", "the table is all there is")
    sweep, folder = load_sweep(path), SeriesFolder.open(path)
    if arguments.json:
        print(json.dumps(everything(sweep, folder), ensure_ascii=False))
    else:
        print_sweep(sweep, folder)
    return 0


def _show_race(path: Path, arguments: Namespace) -> int:
    """Show a race.

    Raises:
        ThalwegError: It is damaged, or a picture is asked for.
    """
    from thalweg.cli.race_table import print_race_folder, race_folder_facts
    from thalweg.study import load_race

    if arguments.plot is not None:
        hint = f"thalweg report {typed(path)} draws it"
        raise SpecError(f"--plot for {place(path)}, a race", "a run", hint)
    race = load_race(path)
    if arguments.json:
        print(json.dumps(race_folder_facts(race), ensure_ascii=False))
    else:
        print_race_folder(race)
    return 0


def _show_tune(path: Path, arguments: Namespace) -> int:
    """Show a search.

    Raises:
        ThalwegError: It is damaged, or a picture is asked for.
    """
    from thalweg.cli.tune_table import print_tune_folder, tune_folder_facts
    from thalweg.study import load_tuning

    if arguments.plot is not None:
        hint = f"thalweg report {typed(path)} draws it"
        raise SpecError(f"--plot for {place(path)}, a search", "a run", hint)
    tuning = load_tuning(path)
    if arguments.json:
        print(json.dumps(tune_folder_facts(tuning), ensure_ascii=False))
    else:
        print_tune_folder(tuning)
    return 0


def _plot(runs: Sequence[RunFolder], metric: str, file: Path | None) -> Path:
    """Draw one run, or several on one figure, and return where that is.

    Raises:
        SpecError: The metric was not measured.
        FileError: The picture cannot be written.
    """
    from thalweg import plots
    from thalweg.cli.comparing import names_of
    from thalweg.files import inside
    from thalweg.plots.columns import metrics_of

    steps = runs[0].steps() if len(runs) == 1 else {}
    epochs = {name: run.epochs() for name, run in zip(names_of(runs), runs, strict=True)}
    measured = {name for each in epochs.values() for name in metrics_of(steps, each)}
    if metric not in measured:
        raise SpecError(f"--metric {metric}", "what was measured", nearest(metric, measured))
    if len(runs) > 1:
        figure = plots.comparison(epochs, metric, _splits(list(epochs.values()), metric))
        file = file or Path("comparison.html")
    else:
        run = runs[0]
        diverged = run.state == "diverged"
        figure = plots.training_curves(steps, epochs[run.name], metric, run.name, diverged=diverged)
        if file is None:
            file = inside(run.path, f"figures/{metric}.html")
            file.parent.mkdir(exist_ok=True)
    plots.save(figure, file)
    return file


def _splits(tables: Sequence[Columns], metric: str) -> list[str]:
    """Return what to draw of several runs: a split that training has not seen, and training.

    The training split itself is often evaluated at the end alone; the running averages say as much.
    """
    from thalweg.plots.columns import measured

    def often(split: str) -> bool:
        return all(len(measured(table, f"{split}_{metric}")) > 1 for table in tables)

    unseen = "test" if any(measured(table, f"test_{metric}") for table in tables) else "val"
    return [unseen, "train" if often("train") else "running"]
