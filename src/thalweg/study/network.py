"""The network of a run, from its folder alone."""

from __future__ import annotations

from torch import Generator, nn

from thalweg import nn as networks
from thalweg.engine import Cohort, Length, Member, Progress, Snapshot
from thalweg.engine.build import build_rule
from thalweg.engine.feed import Orders
from thalweg.engine.progress import restore
from thalweg.engine.stop import Judge
from thalweg.errors import FileError, ModelError, SpecError
from thalweg.spec import Spec
from thalweg.store import Checkpoint, RunFolder
from thalweg.study.resuming import load_run


def load_network(folder: RunFolder, checkpoint: str = "last") -> nn.Module:
    """Return the network of a run in evaluation mode, with the slow weights where there are such.

    The data need not be there, unless BatchNorm's statistics must be estimated anew because they
    do not belong to the rule's averaged weights.

    Args:
        folder: The run.
        checkpoint: ``last``, ``best``, or the number of a step.

    Raises:
        SpecError: The network was given in Python, and only its class can build it.
        FileError: There is no such checkpoint, or it is damaged.
        ModelError: The checkpoint is of another model or rule.

    Example:
        >>> import torch
        >>> from thalweg.store import find_run
        >>> from thalweg.study import train
        >>> run = train("mlp", "digits", hidden=(16,), steps=20)
        >>> network = load_network(find_run(run.folder))
        >>> x = run.data.test.x
        >>> torch.equal(network(x).argmax(1), run.outputs(x).argmax(1))
        True
    """
    return network_of(folder, folder.checkpoint(checkpoint))


def network_of(folder: RunFolder, found: Checkpoint) -> nn.Module:
    """Return the network of a run as a checkpoint has it, as `load_network` does.

    Raises:
        SpecError: The network was given in Python, and only its class can build it.
        FileError: The folder's spec is not that of the run.
        ModelError: The checkpoint is of another model or rule.
    """
    if "model" in folder.info.own:
        hint = f"in Python: thalweg.load_run({str(folder.path)!r}, model=…).model"
        raise SpecError(f"{folder.path}, whose model came from Python", "a named one", hint)
    spec = folder.spec
    try:
        cohort = _cohort(folder, spec)
        length = Length(1, 1, 1, 0)  # it is not trained
        progress = Progress([Member(0, spec, length, Judge(spec))], Orders([Generator()], [0]))
    except (SpecError, ModelError) as error:
        file = folder.path / "spec.toml"
        raise FileError(f"{file} with {error.got}", error.expected, error.hint) from None
    # Dropout masks are for training, and those of another device could not be drawn here.
    arrays = {n: a for n, a in found.arrays.items() if not n.startswith("generators/masks/")}
    try:
        restore(cohort, progress, Snapshot(arrays, found.facts))
    except ModelError as error:
        raise ModelError(f"{found.file}, {error.got}", error.expected, error.hint) from None
    slow = spec.evaluate_weights != "current"
    if slow and cohort.slices[0].rule.stale_statistics and cohort.stack.buffers:
        return load_run(folder.path, _name(found)).model
    with cohort.evaluation(slow=slow):
        return cohort.stack.export(0)


def _cohort(folder: RunFolder, spec: Spec) -> Cohort:
    """Build the network and its rule's state, as they are before the first step or another."""
    facts = folder.info.data
    network = networks.build(
        spec.model.name,
        input_shape=tuple(facts.input_shape),
        out_features=len(facts.classes) or facts.targets,
        generator=Generator().manual_seed(0),  # what is drawn here is overwritten
        **spec.model.options,
    )
    loss = networks.build_loss(networks.DEFAULT_LOSS[facts.task])  # it is not asked for
    return Cohort([network], build_rule(spec), loss)


def _name(found: Checkpoint) -> str:
    """Return what a checkpoint is asked for by."""
    stem = found.file.stem
    return stem if stem == "best" else str(int(stem.removeprefix("step-")))
