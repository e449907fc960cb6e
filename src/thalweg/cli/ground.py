"""What ``landscape``, ``slice`` and ``curvature`` share: options, a page that sharpens, the end."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from thalweg.cli.kinds import whole
from thalweg.cli.parser import Namespace, Parser
from thalweg.cli.table import print_table
from thalweg.cli.text import place
from thalweg.errors import SpecError

if TYPE_CHECKING:
    from thalweg.plots.report.chapters import Sheet
    from thalweg.study import Landscape

T = TypeVar("T")

RUN_HELP = "folder or name of a run; with @120, @best at a checkpoint; SWEEP@3 is one of a sweep's"


def add_ground(parser: Parser, *, subset: str, seed: str) -> None:
    """Add the options on what is measured and where it goes.

    Args:
        parser: The command's.
        subset: Samples by default.
        seed: What the seed is of.
    """
    what = parser.add_argument_group("on what")
    what.add_argument(
        "--subset", metavar="N", default=subset,
        help=f"samples of the split, drawn at random, or all ({subset})",
    )  # fmt: skip
    what.add_argument("--seed", metavar="N", default="0", help=f"of {seed} (0)")
    where = parser.add_argument_group("where it goes")
    where.add_argument(
        "--out", metavar="FOLDER", type=Path,
        help="where to (a folder in the run's; of several runs, one where you are)",
    )  # fmt: skip
    where.add_argument(
        "--again", action="store_true", help="begin anew, whatever is in the folder already"
    )
    where.add_argument("--png", action="store_true", help="the pictures as .png, too")
    where.add_argument("--json", action="store_true", help="one JSON object, for machines")


def read_ground(arguments: Namespace) -> dict[str, Any]:
    """Return what these options say, as the studies take it.

    Raises:
        SpecError: One of them does not fit.
    """
    text = arguments.subset
    subset = None if text == "all" else whole("--subset", text, "a number of samples, or all", 1)
    seed = whole("--seed", arguments.seed, "a whole number")
    return {"subset": subset, "seed": seed, "again": arguments.again}


def folder_for(names: Sequence[str], word: str) -> Path:
    """Return where something of runs goes by default.

    It is a folder in that of the only run, and one where you are for several.

    Args:
        names: The runs, as typed.
        word: What the folder is called.

    Raises:
        FileError: There is no such run.
    """
    from thalweg.files import inside
    from thalweg.store import locate_run, locate_series
    from thalweg.store.race import locate_race

    if len(names) > 1:
        return Path(word)
    name, _, which = names[0].rpartition("@") if not Path(names[0]).exists() else ("", "", "")
    name, called = (name, f"{word}-at-{which}") if name else (names[0], word)
    if locate_race(name) is not None or locate_series(name) is not None:
        return Path(called)
    return inside(locate_run(name), called)


@dataclass(frozen=True)
class Following(Generic[T]):
    """How something is followed while it is measured.

    Args:
        what: What is counted, in the plural.
        count: How much was measured, and how much there is.
        stage: What the page is written anew for, when it changes; None while nothing can be drawn.
        page: The page.
        figures: The pictures by name, for ``--png``.
        file: What the page is called.
    """

    what: str
    count: Callable[[T], tuple[int, int]]
    stage: Callable[[T], Any]
    page: Callable[[T], str]
    figures: Callable[[T], Mapping[str, Any]]
    file: str


def follow(
    drawing: Iterator[T], how: Following[T], folder: Path, arguments: Namespace
) -> tuple[T, int]:
    """Measure to the end, or until Ctrl-C or SIGTERM, and write the page as it sharpens.

    Args:
        drawing: What is measured; it saves itself when it is closed.
        how: How to follow it.
        folder: Where the page goes; there is one as soon as the first was drawn.
        arguments: The command's.

    Returns:
        What was measured, and the exit code.

    Raises:
        ThalwegError: It cannot be measured, or the page not be written.
    """
    from thalweg.cli.counting import Counting
    from thalweg.files import make_folder, write_atomically
    from thalweg.study.signals import stop_on_signals

    file, drawn = folder / how.file, None
    shown = None if not arguments.json else False
    with Counting(how.what, shown=shown) as count:
        found = next(drawing)
        with stop_on_signals() as stop:
            while True:
                count(*how.count(found))
                stage = how.stage(found)
                if stage is not None and stage != drawn:
                    make_folder(folder)
                    write_atomically(file, how.page(found))
                    drawn = stage
                following = None if stop.signal is not None else next(drawing, None)
                if following is None:
                    break
                found = following
            drawing.close()  # type: ignore[attr-defined]  # it saves what there is
    done, of = how.count(found)
    if stop.signal is not None and done < of:
        got = f"interrupted after {done:,} of {of:,} {how.what} by {stop.signal.name}"
        print(f"thalweg: {got}; saved: the same command goes on", file=sys.stderr)
        return found, 128 + stop.signal
    return found, 0


def nodes_of(land: Landscape) -> tuple[int, int]:
    """Return how many nodes were measured, and how many are to be: fewer, where a picture is it."""
    done = int(land.surface.done.sum())
    return done, done if land.surface.complete else land.surface.done.numel()


def stage_of(land: Landscape) -> tuple[int, ...] | None:
    """Return the shape of the finest picture; None before there is one."""
    from thalweg.errors import ModelError

    try:
        return land.surface.picture().shape
    except ModelError:
        return None


def write_pictures(figures: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write pictures as PNG, and return where they are.

    Raises:
        ThalwegError: kaleido or a Chrome is missing, or they cannot be written.
    """
    from thalweg import plots

    files = [folder / f"{name}.png" for name in figures]
    for file, figure in zip(files, figures.values(), strict=True):
        plots.save(figure, file)
    return files


def print_sheets(sheets: Sequence[Sheet]) -> None:
    """Print tables, those without rows left out."""
    for sheet in sheets:
        if sheet.rows:
            print_table(sheet.head, [[cell or "–" for cell in row] for row in sheet.rows])
            print()


def print_places(page: Path, pictures: Sequence[Path]) -> None:
    """Say where the page and the pictures are."""
    print(f"page: {place(page)}")
    for file in pictures:
        print(f"picture: {place(file)}")


def print_json(facts: Mapping[str, Any]) -> None:
    """Print one JSON object; numbers that are not finite are null."""
    print(json.dumps(finite(facts), ensure_ascii=False))


def finite(value: Any) -> Any:
    """Return a value for JSON, with null for numbers that are not finite.

    Example:
        >>> finite({"a": (1.0, float("nan")), "b": "c"})
        {'a': [1.0, None], 'b': 'c'}
    """
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def numbers(option: str, text: str, count: int) -> list[float]:
    """Return numbers with commas between them.

    Raises:
        SpecError: They are none, or not so many.

    Example:
        >>> numbers("--extent", "-1,2.5", 2)
        [-1.0, 2.5]
    """
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) != count:
        wanted = f"{count} numbers with a comma between them" if count > 1 else "a number"
        raise SpecError(f"{option} {text}", wanted)
    return found
