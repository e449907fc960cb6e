"""What a run's network is worth on a data set: its own, or another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from thalweg import nn as networks
from thalweg.data import Data, Split, load_data
from thalweg.engine import Cohort, build_metrics
from thalweg.engine.build import build_rule
from thalweg.errors import DataError, SpecError, nearest
from thalweg.spec import DataSpec
from thalweg.store import RunFolder
from thalweg.study.inputs import prepared
from thalweg.study.network import network_of
from thalweg.study.training import fingerprint


@dataclass(frozen=True)
class Evaluation:
    """What came of an evaluation.

    Args:
        step: Updates that the network has behind it.
        data: Name of the data set.
        split: Name of the split.
        samples: How many there were.
        metrics: Loss and metrics.
    """

    step: int
    data: str
    split: str
    samples: int
    metrics: dict[str, float]


def evaluate(
    run: RunFolder,
    data: str | None = None,
    split: str = "test",
    *,
    checkpoint: str = "last",
    folder: str | Path | None = None,
    size: int | None = None,
) -> Evaluation:
    """Measure the loss and the metrics of a run's network, in evaluation mode.

    Args:
        run: The run.
        data: Name of a data set, or a folder of class folders; the run's own if None. Another set
            is normalised by the run's own constants. Its classes may be fewer, but must have the
            run's names.
        split: ``train``, ``val`` or ``test``.
        checkpoint: ``last``, ``best``, or the number of a step.
        folder: Data folder in which to look first for a named set's files.
        size: Side to which a folder's images are resized; that of the run's if None.

    Raises:
        SpecError: The run was given a model, data, a loss or metrics in Python.
        DataError: There is no such split, or the data do not fit the network.
        ThalwegError: The data cannot be loaded, or the checkpoint not be read.

    Example:
        >>> from thalweg.store import find_run
        >>> from thalweg.study import train
        >>> run = train("mlp", "digits", hidden=(16,), steps=20)
        >>> evaluate(find_run(run.folder)).metrics == run.evaluate("test")
        True
    """
    _refuse_own(run, data)
    own = data is None or (data == run.spec.data.source and "data" not in run.info.own)
    found = run.checkpoint(checkpoint)
    network = network_of(run, found)
    loaded = _own_data(run, folder) if own else _other_data(run, str(data), folder, size)
    places = None if own else _fitting(run, loaded)
    splits = loaded.splits()
    if split not in splits:
        raise DataError(
            f"the split {split!r} of {loaded.name}", "one that there is", nearest(split, splits)
        )
    samples, spec, task = splits[split], run.spec, run.info.data.task
    if not own:
        y = samples.y if places is None else places[samples.y]
        samples = Split(prepared(run, samples.x), y, y)
    goal = networks.DEFAULT_LOSS[task] if spec.loss.name == "auto" else spec.loss.name
    cohort = Cohort(
        [network],
        build_rule(spec),
        networks.build_loss(goal, **spec.loss.options),
        metrics=build_metrics(spec.metrics, task),
        precision=spec.precision,
    )
    measured = cohort.evaluate(samples, slow=False)  # the network has the weights to evaluate with
    metrics = {name: values[0] for name, values in measured.items()}
    return Evaluation(found.facts["updates"], loaded.name, split, len(samples), metrics)


def _refuse_own(run: RunFolder, data: str | None) -> None:
    needed = [name for name in run.info.own if name != "data" or data is None]
    if needed:
        given = ", ".join(f"{name}=…" for name in needed)
        hint = f"in Python: thalweg.load_run({str(run.path)!r}, {given}).evaluate()"
        if needed == ["data"]:
            hint += "; or name a data set by --data"
        raise SpecError(
            f"{run.path}, whose {needed[0]} came from Python", f"a named {needed[0]}", hint
        )


def _own_data(run: RunFolder, folder: str | Path | None) -> Data:
    """Load the data of the run again.

    Raises:
        DataError: They are not what they were.
    """
    spec = run.spec.data
    options = {key: getattr(spec, key) for key in DataSpec.model_fields if key != "source"}
    if folder is not None:
        options["folder"] = folder
    data = load_data(spec.source, **options)
    if fingerprint(data) != run.info.data.fingerprint:
        raise DataError(
            f"data that are not those of {run.path}", f"{run.info.data.name} as it was",
            "the files behind its name have changed; name them by --data to evaluate on them",
        )  # fmt: skip
    return data


def _other_data(run: RunFolder, source: str, folder: str | Path | None, size: int | None) -> Data:
    """Load another data set, not normalised."""
    if size is None and Path(source).is_dir():
        size = run.spec.data.size
    seed = run.spec.data.split_seed
    return load_data(source, folder=folder, size=size, normalize="none", split_seed=seed)


def _fitting(run: RunFolder, data: Data) -> torch.Tensor | None:
    """Return the run's number of each of the data's classes; None if the numbers are the same.

    Raises:
        DataError: The data do not fit the network.
    """
    facts = run.info.data
    if list(data.input_shape) != facts.input_shape:
        got, expected = ("×".join(map(str, s)) for s in (data.input_shape, facts.input_shape))
        hint = "--size resizes the images of a folder" if len(facts.input_shape) == 3 else ""
        raise DataError(
            f"samples of {got} in {data.name}", f"{expected}, which {run.name} takes", hint
        )
    if data.task != facts.task:
        raise DataError(f"{data.name} for {data.task}", f"data for {facts.task}, as {run.name} is")
    if data.task == "regression" and data.out_features != facts.targets:
        raise DataError(
            f"{data.out_features} targets a sample in {data.name}",
            f"{facts.targets}, which {run.name} gives",
        )
    unknown = [each for each in data.classes if each not in facts.classes]
    if unknown:
        hint = nearest(unknown[0], facts.classes)
        raise DataError(
            f"the class {unknown[0]!r} in {data.name}", f"classes that {run.name} knows", hint
        )
    if list(data.classes) == facts.classes:
        return None
    return torch.tensor([facts.classes.index(each) for each in data.classes])
