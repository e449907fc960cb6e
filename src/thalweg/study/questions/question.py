"""What a question is made of: what it compares, and how an answer is read from that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from thalweg.data import Data
from thalweg.engine import short_keys
from thalweg.nn import find_model
from thalweg.plots.report.chapters import Chapter
from thalweg.spec import Spec
from thalweg.study.sweeps.sweeping import Sweep


@dataclass(frozen=True)
class Plan:
    """What is to be compared.

    Args:
        settings: Each with its ``name``, as `thalweg.sweep` takes them.
        facts: What was measured before anything was trained for it, as JSON has it.
    """

    settings: Sequence[Mapping[str, Any]]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a study says.

    Args:
        words: Sentences; the first says the most.
        chapters: What they rest on: a smaller question each, with words, figures and tables.
    """

    words: Sequence[str]
    chapters: Sequence[Chapter] = ()

    @property
    def figures(self) -> dict[str, Any]:
        """The pictures, by a name that can be a file's."""
        drawn = [figure for chapter in self.chapters for _, figure in chapter.figures]
        return {str(figure.layout.meta["name"]): figure for figure in drawn}


@dataclass(frozen=True)
class Question:
    """A question that a sweep answers.

    Args:
        name: What it is asked for by.
        title: The question.
        start: Settings that it begins with.
        samples: Training samples, if nobody says how many and there are more.
        plan: Says what is compared, given the settings that all have, the data, and the seeds.
        read: Reads the answer from the sweep that is over, and the facts.
    """

    name: str
    title: str
    start: Mapping[str, Any]
    samples: int
    plan: Callable[[Spec, Data, Sequence[int]], Plan]
    read: Callable[[Sweep, Mapping[str, Any]], Answer]

    @property
    def spec(self) -> Spec:
        """The settings that it begins with, as a spec."""
        return Spec().override(self.start, short_keys())


def takes(spec: Spec, option: str) -> bool:
    """Tell whether the model of a spec has an option.

    Example:
        >>> takes(Spec(), "dropout"), takes(Spec(model={"name": "garment"}), "hidden")
        (True, False)
    """
    return option in find_model(spec.model.name).known


def titled(name: str, figure: Any, caption: str = "") -> Any:
    """Return a figure with the name of its file, and what is to be said below it."""
    return figure.update_layout(meta={"name": name, "caption": caption})
