"""``thalweg data``: list, fetch and look at data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.cli.kinds import whole
from thalweg.cli.parser import Commands, Namespace
from thalweg.errors import DataError
from thalweg.spec import DataSpec, Spec

if TYPE_CHECKING:
    from thalweg.data import Data, NamedSet


def add(commands: Commands, *, with_settings: bool) -> None:
    """Add the command and those below it."""
    examples = ["thalweg data list", "thalweg data fetch mnist", "thalweg data show digits"]
    text = "list, fetch and look at data sets"
    parser = commands.add_parser(
        "data", help=text, description=f"{text.capitalize()}.", examples=examples
    )
    below = parser.commands()
    _add_list(below)
    _add_fetch(below)
    _add_show(below, with_settings=with_settings)


def _add_list(commands: Commands) -> None:
    parser = commands.add_parser(
        "list",
        help="list the data sets that have a name",
        description="List the data sets that have a name, and whether they are on this machine.",
        examples=["thalweg data list", "thalweg data list --json | jq .name"],
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(action=data_list)


def _add_fetch(commands: Commands) -> None:
    parser = commands.add_parser(
        "fetch",
        help="download a data set, unless it is there",
        description="Download a data set unless it is there, check it, and say where it is.",
        examples=["thalweg data fetch mnist", "thalweg data fetch fashion-mnist --folder ~/data"],
    )
    parser.add_argument("source", metavar="NAME", help="name of a data set")
    parser.add_argument("--folder", metavar="FOLDER", type=Path, help="data folder to put it into")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(action=data_fetch)


def _add_show(commands: Commands, *, with_settings: bool) -> None:
    parser = commands.add_parser(
        "show",
        help="shapes, class counts, and a picture of samples",
        description="Describe a data set as training would see it, and draw some of its samples.",
        usage="thalweg data show DATA [--out FILE] [--samples N] [options]",
        examples=[
            "thalweg data show digits",
            "thalweg data show spiral --noise 0.2 --out spiral.html",
            "thalweg data show mnist --val 0.05 --label-noise 0.2 --json",
        ],
    )
    parser.add_argument(
        "source", metavar="DATA", help="name of a data set, or a folder of class folders"
    )
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="picture to write, .html or .png (DATA.html)"
    )
    parser.add_argument("--samples", metavar="N", default="100", help="images to draw (100)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    if with_settings:
        from thalweg.cli.settings import add_settings

        add_settings(parser, "data")
    parser.set_defaults(action=data_show)


def data_list(arguments: Namespace) -> int:
    """List the data sets that have a name."""
    from thalweg.cli.table import print_table
    from thalweg.data import NAMED_SETS

    sets = NAMED_SETS.values()
    if arguments.json:
        for each in sets:
            print(json.dumps(_facts(each), ensure_ascii=False))
        return 0
    rows = [
        (
            each.name,
            each.description,
            f"{each.samples:,}",
            _shape(each.input_shape),
            str(each.out_features) if each.task == "classification" else "–",
            _place(each),
        )
        for each in sets
    ]
    print_table(("data", "what it is", "samples", "shape", "classes", "here"), rows)
    return 0


def data_fetch(arguments: Namespace) -> int:
    """Download a data set unless it is there, and print its folder.

    Raises:
        SpecError: An unknown name, or a set that has no files.
        DownloadError: No mirror answered, or the folder cannot be written.
        DataError: The files that were found or fetched are damaged.
    """
    from thalweg.data import fetch

    folder = fetch(arguments.source, arguments.folder)
    if arguments.json:
        print(json.dumps({"name": arguments.source, "folder": str(folder)}))
    else:
        print(f"{arguments.source} is in {folder}")
    return 0


def data_show(arguments: Namespace) -> int:
    """Describe a data set, and write a picture of samples.

    Raises:
        ThalwegError: The data cannot be loaded as asked for, or the picture not be written.
    """
    from thalweg.cli.settings import read_settings
    from thalweg.data import describe, load_data

    spec = read_settings(arguments, Spec().override({"data": arguments.source})).data
    samples = whole("--samples", arguments.samples, "a number of images", 1)
    data = load_data(
        spec.source, **{key: getattr(spec, key) for key in DataSpec.model_fields if key != "source"}
    )
    facts = describe(data)
    file = arguments.out or Path(f"{data.name}.html")
    try:
        _draw(data, samples, file)
    except DataError:  # neither images nor points: there is nothing to see
        if arguments.out is not None:
            raise
        file = None
    if arguments.json:
        print(json.dumps(facts | {"picture": file and str(file)}, ensure_ascii=False))
        return 0
    _print_facts(facts)
    print(f"\npicture: {file or 'none, the samples are neither images nor points in the plane'}")
    return 0


def _print_facts(facts: dict[str, Any]) -> None:
    from thalweg.cli.table import print_table
    from thalweg.cli.text import normalisation, number

    kind = f"{len(facts['classes'])} classes" if facts["classes"] else "regression"
    print(f"{facts['name']}: {_shape(facts['input_shape'])}, {kind}")
    if normalised := normalisation(facts["mean"], facts["std"]):
        print(f"normalised: {normalised}")
    print()
    splits = facts["splits"]
    head = ("split", "samples", "least", "greatest", "mean", "std", "corrupted")
    keys = ("min", "max", "mean", "std")
    print_table(
        head,
        [
            (
                name,
                f"{each['samples']:,}",
                *(number(each[key]) for key in keys),
                str(each["corrupted"]),
            )
            for name, each in splits.items()
        ],
    )
    print()
    if facts["classes"]:
        print_table(
            ("class", *splits),
            [
                (label, *(f"{each['class_counts'][index]:,}" for each in splits.values()))
                for index, label in enumerate(facts["classes"])
            ],
        )
    else:
        ranges = [
            (name, number(each["target_min"]), number(each["target_max"]))
            for name, each in splits.items()
        ]
        print_table(("split", "least target", "greatest"), ranges)


def _draw(data: Data, images: int, file: Path) -> None:
    """Write a picture of the first training samples, or of all of them if they are points.

    Raises:
        DataError: The samples cannot be drawn.
        ThalwegError: The file cannot be written.
    """
    from thalweg.plots import sample_grid, save

    kept = len(data.train) if len(data.input_shape) == 1 else images
    x, y = data.raw(data.train.x[:kept]), data.train.y[:kept]
    save(sample_grid(x.numpy(), y.numpy(), data.classes, data.name), file)


def _facts(each: NamedSet) -> dict[str, Any]:
    keys = ("name", "description", "task", "samples", "input_shape", "out_features", "origin")
    return {key: getattr(each, key) for key in keys} | {"here": _place(each)}


def _place(each: NamedSet) -> str:
    """Say whether a data set is on this machine."""
    from thalweg.data.remote import locate

    if each.collection is None:
        return "yes"
    found = locate(each.collection)
    return str(next(iter(found.values())).parent) if found else "no"


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
