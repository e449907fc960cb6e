"""``thalweg resume``: go on with a run, or with a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.cli.follow import add_told, check_told, follow
from thalweg.cli.on import add_on
from thalweg.cli.parser import Commands, Namespace
from thalweg.errors import SpecError

if TYPE_CHECKING:
    from thalweg.cli.settings import Setting


def add(commands: Commands, *, with_settings: bool) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "resume",
        help="go on with a run, sweep or race that was interrupted, or with a run longer",
        description=(
            "Go on with a run that was interrupted or killed, from its last checkpoint, to\n"
            "the result that it would have had: the same bits on the same machine. Given\n"
            "another length, a run that has ended goes on, too. Sweeps and races go on likewise."
        ),
        usage="thalweg resume RUN [options]",
        examples=[
            "thalweg resume runs/digits_mlp_adam_20260728-101500",
            "thalweg resume first --epochs 20",
            "thalweg resume first --epochs 50 --patience 5 --monitor test_loss",
            "thalweg resume runs/sweep",
            "thalweg resume runs/sweep --on processes:4",
        ],
    )
    parser.add_argument("run", metavar="RUN", help="folder or name of a run, sweep or race")
    if with_settings:
        group = parser.add_argument_group("how long, counted from its beginning")
        for setting in _longer():
            setting.add_to(group)
    add_on(parser.add_argument_group("where what is left of a sweep, race or search is trained"))
    add_told(parser)
    parser.set_defaults(action=resume)


def resume(arguments: Namespace) -> int:
    """Go on with a run, and tell what happens.

    Raises:
        ThalwegError: There is no such run, it is damaged, another process is writing to it, or it
            has ended.
    """
    from thalweg.store import locate_series
    from thalweg.store.race import locate_race
    from thalweg.store.tune import locate_tune
    from thalweg.study import go_on

    check_told(arguments)
    given = vars(arguments)
    longer = {each.key: each.read(given[each.key]) for each in _longer() if each.key in given}
    if (race := locate_race(arguments.run)) is not None:
        return _resume_race(race, longer, arguments)
    if (search := locate_tune(arguments.run)) is not None:
        return _resume_tune(search, longer, arguments)
    if (series := locate_series(arguments.run)) is not None:
        return _resume_sweep(series, longer, arguments)
    if arguments.on != "here":
        raise SpecError(f"--on {arguments.on} for a run", "a sweep, a race or a search")
    run, events = go_on(arguments.run, **longer)
    return follow(run, events, arguments)


def _resume_sweep(path: Path, longer: Mapping[str, Any], arguments: Namespace) -> int:
    """Go on with a sweep, and tell what happens."""
    from thalweg.cli.sweeping import follow_sweep, tell_plan
    from thalweg.cluster import open_executor
    from thalweg.study import estimate, go_on_sweep

    with open_executor(arguments.on) as executor:
        sweep, events = go_on_sweep(path, executor, **longer)
        plan = estimate(sweep.series).shared(executor.workers if executor else 1)
        tell_plan(sweep, plan, arguments)
        return follow_sweep(sweep, events, plan, arguments)


def _resume_race(path: Path, longer: Mapping[str, Any], arguments: Namespace) -> int:
    """Go on with a race, and tell what happens."""
    from thalweg.cli.racing import follow_race
    from thalweg.cluster import open_executor
    from thalweg.study import go_on_race

    with open_executor(arguments.on) as executor:
        race, events = go_on_race(path, executor=executor, **longer)
        return follow_race(race, events, arguments)


def _resume_tune(path: Path, longer: Mapping[str, Any], arguments: Namespace) -> int:
    """Go on with a search, and tell what happens."""
    from thalweg.cli.tuning import follow_tune
    from thalweg.cluster import open_executor
    from thalweg.study import go_on_tune

    with open_executor(arguments.on) as executor:
        found, events = go_on_tune(path, executor=executor, **longer)
        return follow_tune(found, events, arguments)


def _longer() -> list[Setting]:
    """Return the settings that may change when a run goes on."""
    from thalweg.cli.settings import settings
    from thalweg.study.resuming import LONGER

    return [setting for setting in settings() if setting.key in LONGER]
