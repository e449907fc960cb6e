"""``thalweg schedules`` and ``thalweg schedule``: how a hyperparameter changes, to look at."""

from __future__ import annotations

import inspect
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.cli.parser import Commands, Namespace
from thalweg.errors import SpecError

if TYPE_CHECKING:
    from thalweg.optim import Schedule

LONGEST = 1_000_000
"""Epochs or steps."""


def add(commands: Commands) -> None:
    """Add the commands."""
    parser = commands.add_parser(
        "schedules",
        help="list the schedules",
        description="List the schedules: how a hyperparameter changes in the course of a run.",
        examples=["thalweg schedules", "thalweg schedules --json | jq .name"],
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(action=schedules)
    parser = commands.add_parser(
        "schedule",
        help="explain a schedule, and draw it over a run",
        description=(
            "Explain a schedule, and draw what becomes of a hyperparameter over a run.\n"
            "An option without a default gets an example's value, unless one is given."
        ),
        examples=[
            "thalweg schedule one-cycle",
            "thalweg schedule cyclic -s up=100 -s shrink=0.5 --steps 1000 --lr 0.1",
            "thalweg schedule multistep -s milestones=10,11 --epochs 12 --plot lr.html",
            "thalweg schedule warm-up -s target=momentum --json",
        ],
    )
    parser.add_argument("schedule", metavar="NAME", help="name of a schedule")
    parser.add_argument(
        "-s", "--set", dest="settings", metavar="KEY=VALUE", action="append", default=[],
        help="an option of the schedule, or its start or target, as in -s gamma=0.5; repeatable",
    )  # fmt: skip
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", metavar="N", help="count epochs, so many (60)")
    length.add_argument("--steps", metavar="N", help="count steps, so many")
    parser.add_argument("--lr", metavar="X", help="the base value (1, which leaves the factors)")
    parser.add_argument(
        "--plot", metavar="FILE", type=Path, help="picture to write, .html or .png"
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON object, with the values")
    parser.set_defaults(action=schedule)


def schedules(arguments: Namespace) -> int:
    """List the schedules."""
    from thalweg import optim
    from thalweg.cli.table import print_table

    found = [_facts(name) for name in optim.schedules()]
    if arguments.json:
        for facts in found:
            print(json.dumps(facts, ensure_ascii=False))
        return 0
    rows = []
    for facts in found:
        options = ", ".join(
            each["name"] if each["default"] is None else f"{each['name']} {_shown(each['default'])}"
            for each in facts["options"]
        )
        rows.append((facts["name"], facts["summary"], options))
    head = ("schedule", "what it does", "options and defaults")
    print_table(head, rows, dispensable=("options and defaults",))
    print("\nγ is the option gamma. thalweg schedule NAME says more, and draws it.")
    return 0


def schedule(arguments: Namespace) -> int:
    """Explain a schedule, and draw it over a run.

    Raises:
        SpecError: There is none of that name, or a value is not allowed.
        FileError: The picture cannot be written.
    """
    from thalweg.cli.courses import MADE_UP, build, draw, follow
    from thalweg.plots.picture import save

    name = arguments.schedule
    per, total = _length(arguments)
    base = 1.0 if arguments.lr is None else _base(arguments.lr)
    made, options = build(name, _options(name, arguments.settings), per=per, total=total)
    course = follow(made)
    values = [base * factor for factor in course.factors]
    what = f"factor of {made.target}" if arguments.lr is None else made.target
    if arguments.plot is not None:
        save(draw([name], [values], made, what=what, metric=course.metric), arguments.plot)
    if arguments.json:
        facts = {"name": name, "text": text(name), "set": options, "per": per, "total": total}
        facts |= {"start": made.start, "target": made.target, "base": base, "values": values}
        facts |= {} if course.metric is None else {"metric": course.metric}
        facts |= {} if arguments.plot is None else {"picture": str(arguments.plot)}
        print(json.dumps(facts, ensure_ascii=False))
        return 0
    _explain(name, options)
    _chart(values, made, what)
    if made.shape.reacts:
        print(f"\n{MADE_UP}")
    if arguments.plot is not None:
        print(f"\npicture: {arguments.plot}")
    return 0


def text(name: str) -> str:
    """Return what a schedule says of itself, without markup."""
    from thalweg import optim

    return inspect.cleandoc(optim.schedules()[name].__doc__ or "").replace("``", "")


def _facts(name: str) -> dict[str, Any]:
    """Return what there is to know of a schedule, in words and numbers."""
    from thalweg import optim

    return {
        "name": name,
        "summary": text(name).partition("\n")[0],
        "reacts": optim.schedules()[name].reacts,
        "options": [
            {"name": each.name, "default": None if each.default is MISSING else each.default,
             "help": each.help, "range": str(each.range or "")}
            for each in optim.schedule_options(name)
        ],
    }  # fmt: skip


def _explain(name: str, options: Mapping[str, Any]) -> None:
    """Print what a schedule says of itself, and its options."""
    from thalweg import optim
    from thalweg.cli.table import print_table

    print(f"{text(name)}\n")
    rows = [
        (each.name, "" if each.default is MISSING else _shown(each.default),
         _shown(options.get(each.name, each.default)), str(each.range or ""), each.help)
        for each in optim.schedule_options(name)
    ]  # fmt: skip
    if rows:
        print_table(("option", "default", "here", "range", "what it is"), rows)
        print()


def _chart(values: Sequence[float], schedule: Schedule, what: str) -> None:
    """Print the chart of a schedule over its run."""
    from thalweg.cli.chart import chart
    from thalweg.cli.text import plural

    columns = shutil.get_terminal_size().columns
    lines = chart(values, width=max(20, min(60, columns - 16)))
    print(f"{what} over {plural(schedule.total, schedule.per)}")
    print("\n".join(lines))
    print(f"first {values[0]:.4g}, greatest {max(values):.4g}, least {min(values):.4g}, "
          f"last {values[-1]:.4g}")  # fmt: skip


def _options(name: str, settings: Sequence[str]) -> dict[str, Any]:
    """Read what was given with ``-s``; a list may have commas instead of brackets.

    Raises:
        SpecError: It is not KEY=VALUE, or the key is another option's.
    """
    from thalweg import optim
    from thalweg.cli.kinds import convert, is_list
    from thalweg.spec import parse_setting

    kinds = {each.name: each.type for each in optim.schedule_options(name)}
    kinds = {key: tuple[int, ...] if kind is tuple else kind for key, kind in kinds.items()}
    found: dict[str, Any] = {}
    for setting in settings:
        key, value = parse_setting(setting)
        key = key.removeprefix("schedule.")
        if key in {"per", "total", "name"}:
            hint = "the name stands alone, as in thalweg schedule cosine --steps 1000"
            raise SpecError(f"-s {setting}", "an option of the schedule, start or target", hint)
        if is_list(kinds.get(key)) and not isinstance(value, list):
            value = convert(kinds[key], setting.partition("=")[2])
        found[key] = value
    return found


def _length(arguments: Namespace) -> tuple[str, int]:
    """Return what is counted, and how many of it a run has.

    Raises:
        SpecError: It is no number, or out of range.
    """
    from thalweg.cli.courses import EPOCHS
    from thalweg.cli.kinds import whole

    per = "epoch" if arguments.steps is None else "step"
    given = arguments.epochs if arguments.steps is None else arguments.steps
    total = EPOCHS if given is None else whole(f"--{per}s", given, f"a number of {per}s", 1)
    if total > LONGEST:
        raise SpecError(f"--{per}s {total}", f"at most {LONGEST:,} to draw")
    return per, total


def _base(given: str) -> float:
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if not 0.0 <= value < math.inf:
        raise SpecError(f"--lr {given}", "a number that is not below 0")
    return value


def _shown(value: Any) -> str:
    """Return a value as it is typed after ``-s``."""
    if isinstance(value, tuple | list):
        return ",".join(map(_shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
