"""``thalweg predict``: what a run's network takes images for."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from thalweg.cli.evaluate import add_checkpoint
from thalweg.cli.kinds import whole
from thalweg.cli.parser import Commands, Namespace
from thalweg.cli.text import number


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "predict",
        help="say what a run's network takes images for",
        description=(
            "Say what a run's network takes images for, with probabilities. PNG and JPEG\n"
            "files are made grey and resized if the network needs that, and normalised as the\n"
            "run's data were. The data set itself need not be there."
        ),
        examples=[
            "thalweg predict first seven.png",
            "thalweg predict first scans/*.png --invert --top 1",
            "thalweg predict first seven.png --json | jq .probabilities",
        ],
    )
    parser.add_argument("run", metavar="RUN", help="folder or name of a run")
    parser.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="PNG or JPEG files")
    add_checkpoint(parser)
    parser.add_argument("--top", metavar="N", default="3", help="classes to tell of (3)")
    parser.add_argument(
        "--invert", action="store_true", help="swap light and dark, as for ink on white paper"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object an image")
    parser.set_defaults(action=predict)


def predict(arguments: Namespace) -> int:
    """Print the classes, or the values of a regression.

    Raises:
        ThalwegError: There is no such run, checkpoint or image, or they do not fit.
    """
    import torch

    from thalweg.cli.table import print_table
    from thalweg.store import find_run
    from thalweg.study import load_network, read_images

    top = whole("--top", arguments.top, "a number of classes", 1)
    run = find_run(arguments.run)
    x, changes = read_images(run, arguments.images, invert=arguments.invert)
    network = load_network(run, arguments.checkpoint)
    with torch.no_grad():
        y = torch.cat([network(part) for part in x.split(1000)]).double()
    files, classes = list(map(str, arguments.images)), run.classes
    rows = (y.softmax(-1) if classes else y).tolist()
    if arguments.json:
        for file, row, change in zip(files, rows, changes, strict=True):
            print(json.dumps({"image": file, **_facts(row, classes), "changes": change or None}))
        return 0
    _tell_changes(files, changes)
    if classes:
        top = min(top, len(classes))
        head = ("image", "class", "probability", *("", "") * (top - 1))
        cells = [_best(row, classes, top) for row in rows]
    else:
        head = ("image", *("value",) * len(rows[0]))
        cells = [[number(value) for value in row] for row in rows]
    print_table(head, [(file, *row) for file, row in zip(files, cells, strict=True)])
    return 0


def _best(row: Sequence[float], classes: Sequence[str], top: int) -> list[str]:
    """Return the likeliest classes, each followed by its probability."""
    ranked = sorted(zip(row, classes, strict=True), key=lambda pair: -pair[0])[:top]
    return [cell for p, name in ranked for cell in (name, f"{100 * p:.2f} %")]


def _facts(row: Sequence[float], classes: Sequence[str]) -> dict[str, object]:
    if not classes:
        return {"values": row}
    probabilities = dict(zip(classes, row, strict=True))
    return {"predicted": classes[row.index(max(row))], "probabilities": probabilities}


def _tell_changes(files: Sequence[str], changes: Sequence[str]) -> None:
    """Say on stderr what was done to the images, once for all that it was done to."""
    for change, n in Counter(filter(None, changes)).items():
        which = files[changes.index(change)] if n == 1 else f"{n} images"
        print(f"thalweg: {which} {'was' if n == 1 else 'were'} {change}", file=sys.stderr)
