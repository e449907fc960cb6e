"""Series in words: one as ``thalweg show`` tells of it, several as ``thalweg runs`` lists them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from thalweg.cli.table import print_table
from thalweg.cli.text import place, plural, typed
from thalweg.errors import FileError

if TYPE_CHECKING:
    from pathlib import Path

    from thalweg.store import Damaged, SeriesFolder
    from thalweg.store.race import RaceInfo
    from thalweg.store.tune import TuneInfo
    from thalweg.study import Sweep

GOES_ON = {"interrupted", "killed"}


def survey(root: Path, tags: Sequence[str]) -> tuple[list[dict[str, Any]], list[Damaged]]:
    """Return what is known of the series and races of a folder, and those that are damaged.

    Args:
        root: The folder.
        tags: Tags, all of which a series must have.
    """
    from thalweg.store import Damaged, survey_series
    from thalweg.store.race import survey_races
    from thalweg.store.tune import survey_tunes

    whole, damaged = survey_series(root)
    known = list[dict[str, Any]]()
    for each in whole:
        if set(tags) <= set(each.info.tags):
            try:
                known.append(facts_of(each))
            except FileError as error:
                damaged.append(Damaged(each.path, error))
    races, broken = survey_races(root)
    damaged += broken
    for path, info in races:
        if set(tags) <= set(info.tags):
            try:
                known.append(facts_of_race(path, info))
            except FileError as error:
                damaged.append(Damaged(path, error))
    searches, broken = survey_tunes(root)
    damaged += broken
    known += [facts_of_tune(p, info) for p, info in searches if set(tags) <= set(info.tags)]
    known.sort(key=lambda facts: (facts["created"], facts["name"]))
    return known, [] if tags else damaged


def facts_of(folder: SeriesFolder) -> dict[str, Any]:
    """Return what is known of a series.

    Raises:
        FileError: Its results are damaged.
    """
    info, results = folder.info, folder.results()
    return {
        "kind": info.kind,
        "name": info.name,
        "state": info.state,
        "folder": str(folder.path.absolute()),
        "tags": list(info.tags),
        "created": info.created,
        "members": len(info.members),
        "groups": len(info.groups),
        "over": len(results.get("number", ())),
        "diverged": results.get("reason", []).count("diverged"),
        "varies": list(dict.fromkeys(key for each in info.members for key in each.setting)),
    }


def facts_of_race(path: Path, info: RaceInfo) -> dict[str, Any]:
    """Return what is known of a race, as of a series; its members are those of the race itself.

    Raises:
        FileError: Its results are damaged.
    """
    from thalweg.store import SeriesFolder, is_series

    final = path / "final"
    results = SeriesFolder.open(final).results() if is_series(final) else {}
    return {
        "kind": "race",
        "name": info.name,
        "state": info.state,
        "folder": str(path.absolute()),
        "tags": list(info.tags),
        "created": info.created,
        "members": len(info.contestants) * len(info.seeds),
        "groups": len(dict.fromkeys(results.get("group", ()))),
        "over": len(results.get("number", ())),
        "diverged": results.get("reason", []).count("diverged"),
        "varies": ["contestant"],
    }


def facts_of_tune(path: Path, info: TuneInfo) -> dict[str, Any]:
    """Return what is known of a search, as of a series; its members are the trials."""
    return {
        "kind": "tune",
        "name": info.name,
        "state": info.state,
        "folder": str(path.absolute()),
        "tags": list(info.tags),
        "created": info.created,
        "members": info.trials,
        "groups": 0,
        "over": info.trials if info.state == "complete" else 0,
        "diverged": 0,
        "varies": [axis["name"] for axis in info.space if "when" not in axis],
    }


def print_series(known: Sequence[dict[str, Any]]) -> None:
    """Print the table of series."""
    titles = ("name", "kind", "state", "members", "over", "diverged", "varies", "created")
    print_table(titles, [[_cell(title, facts) for title in titles] for facts in known], titles[5:])


def print_sweep(sweep: Sweep, folder: SeriesFolder) -> None:
    """Print what a sweep was, how it stands, what it came to, and how to go on."""
    from thalweg.cli.sweeping import conclude

    lines = dict(_lines(sweep, folder))
    width = max(map(len, lines)) + 2
    for title, text in lines.items():
        print(f"{title:{width}}{text}")
    print()
    conclude(sweep, as_json=False)


def everything(sweep: Sweep, folder: SeriesFolder) -> dict[str, Any]:
    """Return all that is known of a sweep, as JSON has it."""
    from thalweg.cli.sweep_table import row_facts
    from thalweg.cli.sweeping import best_setting

    return {
        **facts_of(folder),
        "table": [row_facts(row) for row in sweep.table()],
        "best": best_setting(sweep),
        "spec": folder.spec.model_dump(mode="json"),
        "environment": dict(folder.environment),
    }


def _lines(sweep: Sweep, folder: SeriesFolder) -> Iterator[tuple[str, str]]:
    """Yield what is said of a sweep, each with its title."""
    from thalweg.cli.describing import told_data, told_settings

    info, spec, here = folder.info, folder.spec, folder.environment
    results = sweep.series.results
    yield "sweep", info.name
    yield "state", info.state
    yield "folder", place(folder.path)
    if info.tags:
        yield "tags", ", ".join(info.tags)
    yield "began", info.created[:19].replace("T", " ")
    yield from told_data(info.data)
    own = f"; given in Python: {', '.join(info.own)}" if info.own else ""
    yield "model", f"{'its own' if 'model' in info.own else spec.model.name}{own}"
    yield "optimizer", spec.optimizer.name
    if settings := told_settings(spec):
        yield "settings", settings
    yield "varies", ", ".join(sweep.axes) or "the seed alone"
    seeds = dict.fromkeys(str(point.spec.seed) for point in sweep.series.points)
    yield "seeds", ", ".join(seeds)
    lost = sum(each.diverged for each in results.values())
    said = f"{len(results)} of {len(info.members)} over" + (f", {lost} diverged" if lost else "")
    yield "members", f"{said}; {plural(len(info.groups), 'group')}"
    on = f"torch {here.get('torch', '?')}, {here.get('threads', '?')} threads"
    yield "made with", f"thalweg {here.get('thalweg', '?')}, {on}, on {here.get('machine', '?')}"
    if info.state in GOES_ON:
        yield "to go on", f"thalweg resume {typed(folder.path)}"


def _cell(title: str, facts: dict[str, Any]) -> str:
    value = facts[title]
    if title == "created":
        return str(value)[:16].replace("T", " ")
    return (", ".join(value) or "–") if title == "varies" else str(value)
