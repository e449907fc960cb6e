"""``thalweg runs rename``, ``tag``, ``move`` and ``delete``."""

from __future__ import annotations

import sys
from pathlib import Path

from thalweg.cli.parser import Commands, Namespace
from thalweg.cli.text import place, plural
from thalweg.errors import FileError, SpecError


def add(commands: Commands) -> None:
    """Add the commands."""
    _add_rename(commands)
    _add_tag(commands)
    _add_move(commands)
    _add_delete(commands)


def _add_rename(commands: Commands) -> None:
    parser = commands.add_parser(
        "rename",
        help="give a run another name",
        description="Give a run another name. Its folder stays where it is.",
        examples=["thalweg runs rename digits_mlp_adam_20260728-101500 first"],
    )
    parser.add_argument("run", metavar="RUN", help="folder or name of a run")
    parser.add_argument("name", metavar="NAME", help="its new name")
    parser.set_defaults(action=rename)


def _add_tag(commands: Commands) -> None:
    parser = commands.add_parser(
        "tag",
        help="give a run words to find it by, or take them away",
        description="Give a run words to find it by, or take them away, and print those it has.",
        examples=["thalweg runs tag first good published", "thalweg runs tag first --remove good"],
    )
    parser.add_argument("run", metavar="RUN", help="folder or name of a run")
    parser.add_argument("words", metavar="WORD", nargs="*", help="words to give it")
    parser.add_argument(
        "--remove", metavar="WORD", action="append", default=[],
        help="a word to take away; repeatable",
    )  # fmt: skip
    parser.set_defaults(action=tag)


def _add_move(commands: Commands) -> None:
    parser = commands.add_parser(
        "move",
        help="move a run's folder",
        description=(
            "Move a run's folder into a folder that is there, or to a new path. On one disk\n"
            "it is renamed; to another it is copied, compared, and only then removed."
        ),
        examples=["thalweg runs move first /mnt/archive", "thalweg runs move first runs/second"],
    )
    parser.add_argument("run", metavar="RUN", help="folder or name of a run")
    parser.add_argument("out", metavar="FOLDER", type=Path, help="where to")
    parser.set_defaults(action=move)


def _add_delete(commands: Commands) -> None:
    parser = commands.add_parser(
        "delete",
        help="delete runs",
        description=(
            "Delete runs: their folders with all that is in them. Links are removed, not\n"
            "followed. A run that is being written stays."
        ),
        examples=["thalweg runs delete first", "thalweg runs delete first second --yes"],
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help="folders or names of runs")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.set_defaults(action=delete)


def rename(arguments: Namespace) -> int:
    """Give a run another name.

    Raises:
        SpecError: It is no name, or another run has it.
        FileError: There is no such run, or a process is writing to it.
    """
    from thalweg.store import find_run, list_runs

    run, name = find_run(arguments.run), arguments.name.strip()
    if not name or not name.isprintable() or "/" in name:
        raise SpecError(f"the name {arguments.name!r}", "letters and digits, and no slash")
    others = [each for each in list_runs(run.path.parent) if each.name == name]
    if any(each.path.resolve() != run.path.resolve() for each in others):
        raise SpecError(f"the name {name!r}, which {place(others[0].path)} has", "a new name")
    with run.locked():
        run.change(name=name)
    print(f"{place(run.path)} is called {name}")
    return 0


def tag(arguments: Namespace) -> int:
    """Give a run words to find it by, or take them away.

    Raises:
        SpecError: A word to take away that it does not have.
        FileError: There is no such run, or a process is writing to it.
    """
    from thalweg.store import find_run

    run = find_run(arguments.run)
    for word in arguments.remove:
        if word not in run.tags:
            has = f"known: {', '.join(run.tags)}" if run.tags else "it has none"
            raise SpecError(f"--remove {word}", f"a tag of {run.name}", has)
    kept = [word for word in run.tags if word not in arguments.remove]
    new = list(dict.fromkeys([*kept, *arguments.words]))
    if new != list(run.tags):
        with run.locked():
            run.change(tags=new)
    print(f"{run.name}: {', '.join(new) or 'no tags'}")
    return 0


def move(arguments: Namespace) -> int:
    """Move a run's folder.

    Raises:
        FileError: There is no such run, a process is writing to it, or it cannot be moved.
    """
    from thalweg.store import find_run, move_run

    run = find_run(arguments.run)
    print(f"{run.name} is in {place(move_run(run.path, arguments.out))}")
    return 0


def delete(arguments: Namespace) -> int:
    """Delete runs, after asking.

    Raises:
        SpecError: There is nobody to ask.
        FileError: One of them does not exist, is no run, or is being written: none is deleted.
    """
    from thalweg.store import delete_run
    from thalweg.store.lock import is_locked

    paths = list(dict.fromkeys(_deletable(name).absolute() for name in arguments.runs))
    for path in paths:
        if is_locked(path):
            raise FileError(
                f"{place(path)}, which another process is writing", "a run that nobody writes"
            )
    if not arguments.yes and not _agreed(paths):
        print("nothing is deleted", file=sys.stderr)
        return 1
    for path in paths:
        delete_run(path)
        print(f"deleted {place(path)}")
    return 0


def _deletable(name: str) -> Path:
    """Return the folder of a run, whole or damaged.

    Raises:
        FileError: There is none such, or it is not clear that it is a run.
    """
    from thalweg.store import RunFolder, locate_run

    path = locate_run(name)
    try:
        RunFolder.open(path)
    except FileError:
        if not (path / "checkpoints").is_dir():
            raise
    return path


def _agreed(paths: list[Path]) -> bool:
    """Ask whether to delete these."""
    if not sys.stdin.isatty():
        raise SpecError("no terminal to ask on", "--yes", "it deletes without asking")
    for path in paths:
        size = 0 if path.is_symlink() else sum(f.lstat().st_size for f in path.rglob("*"))
        what = "a link" if path.is_symlink() else f"{size / 2**20:,.1f} MB"
        print(f"  {place(path)}  {what}", file=sys.stderr)
    print(f"delete {plural(len(paths), 'run')}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
