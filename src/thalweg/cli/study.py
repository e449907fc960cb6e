"""``thalweg study``: ask a question, and read the answer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from thalweg.cli.kinds import whole
from thalweg.cli.on import add_on
from thalweg.cli.parser import Commands, Namespace
from thalweg.cli.text import place

if TYPE_CHECKING:
    from thalweg.spec import Spec
    from thalweg.study import Question, Study


def add(commands: Commands, *, with_settings: bool) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "study",
        help="ask whether it memorises, what regularisation buys, what batch size or init do",
        description=(
            "Ask a question that a sweep can answer, and read the answer in sentences, with\n"
            "95 % intervals over the seeds, and \"cannot tell\" where they leave that open:\n"
            "  memorise    Does it memorise? Random labels, shuffled pixels, noise.\n"
            "  regularise  How much regularisation, and of which kind?\n"
            "  batch-size  What does the batch size do? And which is the critical one?\n"
            "  init        Which initial weights let a network learn?\n"
            "A page with figures, report.html, is left in the folder. The other options are the\n"
            "settings that all have, as for thalweg train."
        ),
        usage="thalweg study QUESTION [DATA] [--spec FILE] [--seeds N] [options]",
        examples=[
            "thalweg study memorise digits",
            "thalweg study memorise fashion-mnist --subset 2000 --seeds 5",
            "thalweg study regularise mnist --model garment --subset 1000 --pictures",
            "thalweg study batch-size mnist --optimizer sgd --lr 0.1 --on processes:2",
            "thalweg study init mnist --quiet",
        ],
    )  # fmt: skip
    parser.add_argument(
        "question", metavar="QUESTION", help="memorise, regularise, batch-size or init"
    )
    parser.add_argument(
        "source", nargs="?", metavar="DATA", help="name of a data set, or a folder of class folders"
    )
    base = parser.add_argument_group("where the settings start, instead of what suits the question")
    base.add_argument("--spec", metavar="FILE", type=Path, help="a spec in TOML")
    what = parser.add_argument_group("how it is trained")
    what.add_argument("--seeds", metavar="N", default="5", help="seeds, two at least (5)")
    what.add_argument(
        "--memory", metavar="MB", help="what members may take at a time (half of what is free)"
    )
    add_on(what)
    where = parser.add_argument_group("where it is recorded")
    where.add_argument(
        "--out", metavar="FOLDER", type=Path, help="this folder, new or empty, instead of runs/…"
    )
    where.add_argument("--name", metavar="NAME", help="name of the study (that of the question)")
    where.add_argument(
        "--tag", dest="tags", metavar="WORD", action="append", default=[],
        help="a word to find it by; repeatable",
    )  # fmt: skip
    where.add_argument("--pictures", action="store_true", help="write each figure as PNG, too")
    told = parser.add_argument_group("what is told")
    told.add_argument("--quiet", action="store_true", help="nothing but the answer")
    told.add_argument("--json", action="store_true", help="one JSON object a line, for machines")
    if with_settings:
        from thalweg.cli.settings import add_settings

        add_settings(parser)
    parser.set_defaults(action=study)


def study(arguments: Namespace) -> int:
    """Train what answers the question, tell what happens, and what the answer is.

    Raises:
        ThalwegError: There is no such question, a setting does not fit, or the folder cannot be
            written.
    """
    from thalweg.cli.sweep import _memory
    from thalweg.cli.sweeping import follow_sweep, tell_plan
    from thalweg.cluster import open_executor
    from thalweg.study import estimate
    from thalweg.study.questions import begin_study, find_question, plan_study
    from thalweg.study.sweeps.scattered import with_threads

    seeds = whole("--seeds", arguments.seeds, "a number of seeds, two at least", 2)
    memory = _memory(arguments.memory)
    question = find_question(arguments.question)
    base = read_base(question, arguments)
    with open_executor(arguments.on) as executor:
        asked = plan_study(question, with_threads(base, executor), seeds, memory)
        plan = estimate(asked.sweep.series)
        events = begin_study(
            asked, executor, out=arguments.out, name=arguments.name, tags=arguments.tags
        )
        tell_plan(asked.sweep, plan, arguments)
        code = follow_sweep(asked.sweep, events, plan, arguments)
    if asked.is_over:
        _leave_page(asked, arguments)
    return code


def read_base(question: Question, arguments: Namespace) -> Spec:
    """Return the settings that all have.

    Raises:
        SpecError: A file or a value that is not as it should be.
    """
    from thalweg.cli.settings import read_settings
    from thalweg.cli.train import read_file
    from thalweg.spec import Spec

    spec = question.spec
    if arguments.spec is not None:
        spec = Spec.from_toml(read_file(arguments.spec))
    if arguments.source is not None:
        spec = spec.override({"data": arguments.source})
    return read_settings(arguments, spec)


def _leave_page(asked: Study, arguments: Namespace) -> None:
    """Write the page, and say where it is."""
    folder = asked.sweep.folder
    assert folder is not None
    files = asked.write(folder, pictures=arguments.pictures)
    if not (arguments.json or arguments.quiet):
        for file in files:
            print(f"written to {place(file)}", file=sys.stderr)


def print_answer(asked: Study, *, as_json: bool) -> None:
    """Print the answer of a study: its sentences, and the tables that they rest on."""
    from thalweg.cli.table import print_table
    from thalweg.cli.telling import tell

    answer, folder = asked.answer, asked.sweep.folder
    if as_json:
        for chapter in answer.chapters:
            for sheet in chapter.tables:
                rows = [dict(zip(sheet.head, row, strict=True)) for row in sheet.rows]
                tell("table", chapter=chapter.title, caption=sheet.caption, rows=rows)
        where = None if folder is None else str(folder.absolute())
        tell("answer", question=asked.question.title, words=list(answer.words), folder=where)
        return
    print(asked.question.title)
    for words in answer.words:
        print(f"  {words}")
    for chapter in answer.chapters:
        if not (chapter.words or chapter.tables):
            continue
        print(f"\n{chapter.title}")
        for words in chapter.words:
            print(f"  {words}")
        for sheet in chapter.tables:
            print()
            print_table(sheet.head, sheet.rows)
