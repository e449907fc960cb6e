"""``thalweg optimizers``, ``thalweg optimizer`` and ``thalweg paths``: the rules, to look at."""

from __future__ import annotations

import json
from dataclasses import MISSING
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.cli.parser import Commands, Namespace
from thalweg.errors import SpecError

if TYPE_CHECKING:
    from thalweg.optim import Rule
    from thalweg.study.paths import Path as Way


def add(commands: Commands) -> None:
    """Add the commands."""
    parser = commands.add_parser(
        "optimizers",
        help="list the optimizers",
        description="List the optimizers, and what can go around them.",
        examples=["thalweg optimizers", "thalweg optimizers --json | jq .name"],
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(action=optimizers)
    parser = commands.add_parser(
        "optimizer",
        help="explain an optimizer: equations, defaults, deviations",
        description="Explain an optimizer: its equations, its options, and where it deviates.",
        examples=["thalweg optimizer madgrad", "thalweg optimizer sam"],
    )
    parser.add_argument("name", metavar="NAME", help="name of an optimizer, or of a wrapper")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(action=optimizer)
    parser = commands.add_parser(
        "paths",
        help="draw the paths of optimizers down a function of two variables",
        description=(
            "Draw the paths of optimizers down a function of two variables, each with its own\n"
            "best learning rate of a grid of four a decade, unless one is given."
        ),
        examples=[
            "thalweg paths",
            "thalweg paths --on rastrigin --optimizers momentum,adam,madgrad --steps 300",
            "thalweg paths --on beale --optimizers adam,lion --lr 0.01 --out beale.png",
        ],
    )
    parser.add_argument(
        "--on", metavar="NAME", default="rosenbrock",
        help="the function: quadratic, rosenbrock, rastrigin or beale (rosenbrock)",
    )  # fmt: skip
    parser.add_argument(
        "--optimizers", metavar="NAME,…", default="sgd,momentum,nesterov,adam,madgrad",
        help="optimizers, separated by commas (sgd,momentum,nesterov,adam,madgrad)",
    )  # fmt: skip
    parser.add_argument("--steps", metavar="N", default="200", help="updates (200)")
    parser.add_argument("--lr", metavar="X", help="one learning rate for all of them")
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="picture to write, .html or .png (paths.html)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a path")
    parser.set_defaults(action=paths)


def optimizers(arguments: Namespace) -> int:
    """List the optimizers, and what can go around them."""
    from thalweg import optim
    from thalweg.cli.table import print_table

    around = optim.wrappers()
    names = [*(name for name in optim.rules() if name not in around), *around]
    if arguments.json:
        for name in names:
            print(json.dumps(_facts(name), ensure_ascii=False))
        return 0
    rows = []
    for name in names:
        facts = _facts(name)
        options = ", ".join(
            f"{each['name']} {_short(each['default'])}".rstrip() for each in facts["options"]
        )
        slots = f"+{facts['state']:g}" if name in around else f"{facts['state']:g}"
        evaluations = f"{facts['gradients']:g}"
        rows.append((name, facts["paper"], slots, evaluations, options))
    head = ("optimizer", "paper", "state", "gradients", "options and defaults")
    print_table(head, rows, dispensable=("options and defaults", "gradients", "state"))
    print("\nstate: numbers kept a parameter; gradients: evaluations an update.")
    print(f"Those from {around[0]} on go around another one, as in --wrap {around[0]}.")
    return 0


def optimizer(arguments: Namespace) -> int:
    """Explain an optimizer.

    Raises:
        SpecError: There is none of that name.
    """
    import inspect

    from thalweg import optim
    from thalweg.cli.table import print_table
    from thalweg.optim.registry import find

    rule = find(arguments.name)
    facts = _facts(arguments.name)
    text = inspect.cleandoc(rule.__doc__ or "").replace("::", ":").replace("``", "")
    if arguments.json:
        print(json.dumps(facts | {"text": text}, ensure_ascii=False))
        return 0
    print(f"{text}\n\n{facts['paper']}\n")
    rows = [
        (each.name, "" if each.default is MISSING else f"{each.default}", str(each.range or ""),
         each.help)
        for each in optim.hyperparameters(arguments.name) if each.name != "inner"
    ]  # fmt: skip
    if rows:
        print_table(("option", "default", "range", "what it is"), rows)
    return 0


def paths(arguments: Namespace) -> int:
    """Draw the paths of optimizers down a function of two variables.

    Raises:
        SpecError: There is no such function or optimizer, or a value is not allowed.
    """
    from thalweg.cli.table import print_table
    from thalweg.cli.text import number
    from thalweg.plots.picture import save
    from thalweg.study.paths import descend_terrain

    names = [name for name in arguments.optimizers.split(",") if name]
    lr = None if arguments.lr is None else _number(arguments.lr)
    if not arguments.steps.isdecimal():
        raise SpecError(f"--steps {arguments.steps}", "a number of updates")
    found = descend_terrain(arguments.on, names, steps=int(arguments.steps), lr=lr)
    file = arguments.out or Path("paths.html")
    save(draw(arguments.on, found), file)
    if arguments.json:
        for each in found:
            facts = {"optimizer": each.optimizer, "lr": each.lr, "tuned": each.tuned}
            ends = {"end": each.points[-1].tolist(), "height": float(each.values[-1])}
            print(json.dumps(facts | ends | {"picture": str(file)}))
        return 0
    print_table(
        ("optimizer", "lr", "gradients", "height at the end"),
        [
            (each.optimizer, f"{each.lr:.3g}", f"{int(each.gradients[-1])}",
             number(float(each.values[-1])))
            for each in found
        ],
    )  # fmt: skip
    print(f"\npicture: {file}")
    return 0


def draw(on: str, found: list[Way]) -> Any:
    """Return the figure of some paths."""
    import numpy as np
    import torch

    from thalweg.optim.terrain import find_terrain
    from thalweg.plots.paths import terrain_paths

    terrain = find_terrain(on)
    tuned = "each with its best learning rate" if found[0].tuned else "one learning rate for all"
    return terrain_paths(
        lambda points: terrain.value(torch.from_numpy(np.ascontiguousarray(points))).numpy(),
        terrain.window,
        terrain.minimum,
        [f"{each.optimizer}, lr {each.lr:.2g}" for each in found],
        [each.points.numpy() for each in found],
        [each.values.numpy() for each in found],
        title=f"{on}, {tuned}",
    )


def _facts(name: str) -> dict[str, Any]:
    """Return what there is to know of a rule, in words and numbers."""
    import torch

    from thalweg import optim

    rule = _example(name)
    theta = torch.zeros(1, 4096)
    slots = optim.initial_state(rule, theta, [(0, (64, 64))])
    state = sum(slot.numel() for slot in slots.values()) / theta.numel()
    if name in optim.wrappers():
        state -= 2  # Adam's, which is inside
    return {
        "name": name,
        "paper": rule.paper,
        "wraps": name in optim.wrappers(),
        "state": round(state, 2),
        "gradients": rule.gradients_per_step,
        "options": [
            {"name": each.name, "default": None if each.default is MISSING else each.default,
             "help": each.help, "range": str(each.range or "")}
            for each in optim.hyperparameters(name) if each.name != "inner"
        ],
    }  # fmt: skip


def _example(name: str) -> Rule:
    from thalweg import optim

    return (
        optim.build(name, inner=optim.build("adam"))
        if name in optim.wrappers()
        else optim.build(name)
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SpecError(f"--lr {text}", "a number") from None


def _short(default: Any) -> str:
    """Write a default briefly: nothing for None."""
    return "" if default is None else default if isinstance(default, str) else f"{default:g}"
