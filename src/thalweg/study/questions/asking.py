"""Ask a question: plan a sweep, train it, and read the answer from it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from thalweg.cluster import Executor, open_executor
from thalweg.cluster.opening import On
from thalweg.data import Data, load_data
from thalweg.engine import Event, short_keys
from thalweg.errors import FileError, SpecError, nearest
from thalweg.files import inside, write_atomically
from thalweg.plots import save
from thalweg.plots.report.chapters import Chapter, chapters_page
from thalweg.plots.report.words import duration
from thalweg.spec import Spec
from thalweg.store import SeriesFolder
from thalweg.study.questions.batching import BATCH_SIZE
from thalweg.study.questions.memorising import MEMORISE
from thalweg.study.questions.question import Answer, Question
from thalweg.study.questions.regularising import REGULARISE
from thalweg.study.questions.starting import INIT
from thalweg.study.sweeps.grid import Point
from thalweg.study.sweeps.scattered import with_threads
from thalweg.study.sweeps.series import Series
from thalweg.study.sweeps.size import largest_group
from thalweg.study.sweeps.sweeping import Sweep, begin_sweep, load_sweep
from thalweg.study.training import settle

QUESTIONS: dict[str, Question] = {
    each.name: each for each in (MEMORISE, REGULARISE, BATCH_SIZE, INIT)
}
"""The questions by name."""


class Study:
    """A question, the sweep that answers it, and what was measured before.

    Args:
        question: The question.
        sweep: Its members, and what became of them.
        facts: What was measured before anything was trained for it.
    """

    def __init__(self, question: Question, sweep: Sweep, facts: Mapping[str, Any]) -> None:
        self.question, self.sweep, self.facts = question, sweep, facts

    @property
    def is_over(self) -> bool:
        """Whether all members are over."""
        return len(self.sweep.series.results) == len(self.sweep.series.points)

    @cached_property
    def answer(self) -> Answer:
        """What it says; before all members are over, how far it is."""
        over, every = len(self.sweep.series.results), len(self.sweep.series.points)
        if over < every:
            words = f"{over:,} of {every:,} members are over; there is an answer once all are."
            return Answer([words])
        return self.question.read(self.sweep, self.facts)

    def page(self) -> str:
        """Return the answer as a page that needs no network."""
        series, folder = self.sweep.series, self.sweep.folder
        seeds = dict.fromkeys(point.spec.seed for point in series.points)
        seconds = sum(result.seconds for result in series.results.values())
        facts = [
            ("data", self.sweep.base.data.source),
            ("training samples", f"{self.facts['samples']:,}"),
            ("settings", f"{len(series.points) // len(seeds):,}"),
            ("seeds", f"{len(seeds):,}"),
            ("training time", duration(seconds)),
        ]
        state = f"{len(series.results):,} of {len(series.points):,} networks are trained."
        commands = []
        if folder is not None:
            spec, path = (shlex.quote(str(each)) for each in (folder / "spec.toml", folder))
            if not self.is_over:
                commands.append(("Go on where it stopped:", f"thalweg resume {path}"))
            command = f"thalweg study {self.question.name} --spec {spec} --seeds {len(seeds)}"
            commands.append(("Ask again from the start:", command))
        chapters = [Chapter("The answer", self.answer.words), *self.answer.chapters]
        return chapters_page(self.question.title, state, facts, chapters, commands)

    def write(self, folder: str | Path, *, pictures: bool = False) -> list[Path]:
        """Write ``report.html`` and, if asked for, each figure as PNG; return where they are.

        Args:
            folder: Where to.
            pictures: Whether to write the figures, too, by their names.

        Raises:
            FileError: Something cannot be written.
            ThalwegError: A picture needs kaleido and a Chrome, and one is missing.
        """
        path = Path(folder)
        figures = dict(self.answer.figures) if pictures else {}
        files = [inside(path, f"{name}.png") for name in figures]
        for file, figure in zip(files, figures.values(), strict=True):
            save(figure, file)
        page = inside(path, "report.html")
        write_atomically(page, self.page())  # it takes the titles out of the figures
        return [page, *files]


def find_question(name: str) -> Question:
    """Return the question of that name.

    Raises:
        SpecError: There is none.
    """
    if name not in QUESTIONS:
        raise SpecError(f"the question {name!r}", "one that is known", nearest(name, QUESTIONS))
    return QUESTIONS[name]


def plan_study(
    question: Question, base: Spec, seeds: int = 5, memory: float | None = None
) -> Study:
    """Return a study that has not begun; what must be known before is measured.

    Each seed draws everything: initial weights, which samples are taken, and how they are
    corrupted. The samples of a seed come in one order in all settings, so that these can be
    compared in pairs.

    Args:
        question: The question.
        base: The settings that all have.
        seeds: How many, counted from that of the settings.
        memory: Bytes that the members may take at a time; half of what is free if None.

    Raises:
        ThalwegError: A setting does not exist, or does not fit.
    """
    if seeds < 2:
        raise SpecError(f"seeds={seeds}", "two at least", "one seed says nothing of chance")
    whole = _load(base)
    n = len(whole.train)
    if base.data.subset is None and n > question.samples:
        base = base.override({"subset": question.samples})
        whole = _load(base)
    wanted = range(base.seed, base.seed + seeds)
    plan, order = question.plan(base, whole, wanted), base.order_seed
    homes, points = short_keys(), list[Point]()
    for setting in plan.settings:
        own = {key: value for key, value in setting.items() if key != "name"}
        for seed in wanted:
            drawn = {
                "seed": seed,
                "split_seed": base.data.split_seed + seed - base.seed,
                "order_seed": seed if order is None else order + seed - base.seed,
            }
            changes = {**own, **drawn}
            points.append(Point(base.override(changes, homes), changes, {"name": setting["name"]}))
    series = Series(points, largest=largest_group(points, {}, memory))
    return Study(question, Sweep(series, base), {"samples": len(whole.train), **plan.facts})


def _load(base: Spec) -> Data:
    asked = {key: getattr(base.data, key) for key in type(base.data).model_fields}
    return load_data(**asked)


def begin_study(
    study: Study, executor: Executor | None = None, *,
    out: str | Path | Literal[False] | None = None, name: str | None = None,
    tags: Sequence[str] = (),
) -> Iterator[tuple[int, Event]]:  # fmt: skip
    """Return the events to come of a planned study, whose folder is made.

    Args:
        study: What `plan_study` returned; its sweep is given the folder.
        executor: Who trains; this process if None.
        out: As for `sweep`.
        name: Name of the study.
        tags: Words to find it by.
    """
    sweep, own = study.sweep, study.question.name
    about = {"question": own, "facts": dict(study.facts)}
    how: dict[str, Any] = {"name": name or own, "tags": tags, "about": about}
    sweep.folder, events = begin_sweep(sweep.series, sweep.base, executor, out=out, **how)
    return events


def study_of(sweep: Sweep) -> Study | None:
    """Return the study that a sweep answers; None if it is a sweep and no more.

    Raises:
        FileError: Its folder names a question that is not known.
    """
    if sweep.folder is None:
        return None
    about = SeriesFolder.open(sweep.folder).info.about
    if "question" not in about:
        return None
    if about["question"] not in QUESTIONS:
        got = f"{sweep.folder}, which asks {about['question']!r}"
        raise FileError(got, f"one of {', '.join(QUESTIONS)}", "a newer version may know it")
    return Study(QUESTIONS[about["question"]], sweep, about.get("facts", {}))


def load_study(study: str | Path) -> Study:
    """Bring a study back from its folder.

    Args:
        study: Its folder, or its name in the folder of runs.

    Raises:
        ThalwegError: There is none, it is no study, or it is damaged.
    """
    sweep = load_sweep(study)
    found = study_of(sweep)
    if found is None:
        raise SpecError(f"{sweep.folder}, which is a sweep and no more", "a study")
    return found


def ask(
    question: str | Question, model: str | None = None, data: str | Path | None = None, *,
    seeds: int = 5, spec: Spec | None = None, memory: float | None = None, on: On = "here",
    out: str | Path | Literal[False] | None = None, name: str | None = None,
    tags: Sequence[str] = (), **settings: Any,
) -> Study:  # fmt: skip
    """Train what answers a question, and return the study.

    Args:
        question: A question of ``QUESTIONS``, or its name.
        model: A model's name; what suits the question if None.
        data: Name of a data set, or a folder. So many of its training samples are taken as suit the
            question, unless ``subset`` says how many.
        seeds: How many, two at least.
        spec: Where the settings start from; what suits the question if None.
        memory: Bytes that members may take at a time; half of what is free if None.
        on: Who trains, as for `sweep`.
        out: Folder to record it in, as for `sweep`; `resume` goes on with it.
        name: Its name.
        tags: Words to find it by.
        **settings: Settings that all have, as for `train`.

    Returns:
        The study: ``answer.words`` say what was found, ``write`` makes a page of it.

    Raises:
        ThalwegError: A setting does not exist, or does not fit.
        Interrupted: Ctrl-C or SIGTERM came; it is saved.
    """
    asked = find_question(question) if isinstance(question, str) else question
    for thing in (model, data):
        if thing is not None and not isinstance(thing, str | Path):
            got = f"a {type(thing).__name__} for a study"
            raise SpecError(got, "the name of a model and of a data set, or a folder")
    source = None if data is None else str(data)
    base, _ = settle(spec or asked.spec, settings, model=model, data=source)
    with open_executor(on) as executor:
        study = plan_study(asked, with_threads(base, executor), seeds, memory)
        for _ in begin_study(study, executor, out=out, name=name, tags=tags):
            pass
    return study


def memorise(model: str | None = None, data: str | Path | None = None, **options: Any) -> Study:
    """Ask whether a network memorises: what it can fit, how soon, and what is left on new samples.

    True labels, random ones at several fractions, permuted ones; pixels in another order, shuffled
    in each image, and Gaussian noise; with and without weight decay and dropout; and a linear
    classifier beside Cover's count of what it can fit.

    Source: Zhang, Bengio, Hardt, Recht and Vinyals, "Understanding deep learning requires
    rethinking generalization", 2017, section 2.

    Args:
        model: A model's name.
        data: Name of a data set with classes, or a folder.
        **options: As of `ask`, seeds and settings among them.

    Raises:
        ThalwegError: A setting does not exist, or does not fit.
        Interrupted: Ctrl-C or SIGTERM came; it is saved.

    Example:
        >>> small = {"hidden": (64,), "subset": 100, "lr": 0.01, "epochs": 80, "seeds": 2}
        >>> found = memorise("mlp", "digits", **small, out=False)
        >>> found.answer.words[0][:50]
        'Yes: with labels drawn at random it learns all 100'
    """
    return ask(MEMORISE, model, data, **options)


def regularise(model: str | None = None, data: str | Path | None = None, **options: Any) -> Study:
    """Ask which regularisation helps, and how much of it, where samples are few.

    L2 and L1 penalties at multiples of the bound λ < k / penalty, where k bounds the loss of the
    network without them; decoupled decay, dropout, DropBlock, label smoothing, batch normalisation
    and early stopping: what each buys on the test set, in pairs with none.

    Args:
        model: A model's name; those with convolutions have DropBlock, too.
        data: Name of a data set with classes, or a folder.
        **options: As of `ask`, seeds and settings among them.

    Raises:
        ThalwegError: A setting does not exist, or does not fit.
        Interrupted: Ctrl-C or SIGTERM came; it is saved.

    Example:
        >>> small = {"hidden": (16,), "subset": 100, "epochs": 4, "seeds": 2}
        >>> found = regularise("mlp", "digits", **small, out=False)
        >>> found.facts["after"], 0 < found.facts["l2"] < 1
        (3, True)
    """
    return ask(REGULARISE, model, data, **options)


def compare_batch_sizes(
    model: str | None = None, data: str | Path | None = None, **options: Any
) -> Study:
    """Ask what the batch size does: to steps, epochs and seconds until a target, and to quality.

    Batches from 8 to as many as there are samples, each with the learning rate as it is and with
    one that follows the batch; steps and passes to the target, with the critical batch size that
    they imply; beside it the gradient noise scale along training.

    Source: McCandlish, Kaplan, Amodei and the OpenAI Dota Team, "An empirical model of large-batch
    training", 2018.

    Args:
        model: A model's name.
        data: Name of a data set with classes, or a folder.
        **options: As of `ask`; ``until`` is the target, and ``lr`` belongs to ``batch_size``.

    Raises:
        ThalwegError: A setting does not exist, or does not fit.
        Interrupted: Ctrl-C or SIGTERM came; it is saved.

    Example:
        >>> small = {"hidden": (32,), "subset": 256, "until": "train_accuracy>=0.9", "seeds": 2}
        >>> found = compare_batch_sizes("mlp", "digits", **small, out=False)
        >>> found.is_over
        True
    """
    return ask(BATCH_SIZE, model, data, **options)


def compare_inits(
    model: str | None = None, data: str | Path | None = None, **options: Any
) -> Study:
    """Ask which initial weights let a network learn, and whether one can tell before it does.

    Six inits, three activations, three depths; beside what each learns in some hundred steps, how
    activations and gradients grow or shrink from layer to layer at the start.

    Args:
        model: A multilayer perceptron's name.
        data: Name of a data set with classes, or a folder.
        **options: As of `ask`, seeds and settings among them.

    Raises:
        ThalwegError: A setting does not exist, or does not fit.
        Interrupted: Ctrl-C or SIGTERM came; it is saved.

    Example:
        >>> found = compare_inits("mlp", "digits", hidden=(8,), steps=5, seeds=2, out=False)
        >>> len(found.sweep.table())
        54
    """
    return ask(INIT, model, data, **options)
