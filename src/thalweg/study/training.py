"""Train one network, and write down how that went."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn

from thalweg.data import Data
from thalweg.engine import Event, Finished, Run, short_keys
from thalweg.engine.ranks import join_ranks, together
from thalweg.errors import ThalwegError
from thalweg.spec import DataSpec, Spec
from thalweg.store import DataFacts, RunFolder, claim_path, environment, new_info
from thalweg.study.record import Recorder
from thalweg.study.signals import Interrupted, stop_on_signals

if TYPE_CHECKING:
    from thalweg.store.logs import Log


def train(
    model: str | nn.Module | None = None,
    data: Any = None,
    *,
    spec: Spec | None = None,
    loss: str | Callable[[Tensor, Tensor], Tensor] | None = None,
    metrics: Any = None,
    out: str | Path | Literal[False] | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    **settings: Any,
) -> Run:
    """Train one network; together, where ``torchrun`` has started several processes.

    Args:
        model: A model's name, or a network of your own, which is copied.
        data: A data set's name, a folder, arrays, a Dataset, or what `load_data` returned.
        spec: Where the settings start from, such as a recipe; the defaults if None.
        loss: A loss's name, or a callable (outputs, labels) → mean loss of the batch.
        metrics: Names of metrics, or callables by name.
        out: Folder to record the run in, which must be new or empty. None makes one in
            ``$THALWEG_RUNS``, or in ``runs`` where you are; False records nothing.
        name: Name of the run; by default that of its folder.
        tags: Words to find it by.
        **settings: Any setting of the spec by its short or dotted key (``lr``, ``batch_size``,
            ``optimizer="sgd"``, ``momentum``, …).

    Returns:
        The finished run. A run whose loss became NaN is a result too: see ``run.diverged``.

    Raises:
        ThalwegError: The settings, the model and the data do not fit together, or the folder
            cannot be written.
        Interrupted: Ctrl-C or SIGTERM came; the run is saved, and `resume` goes on with it.

    Example:
        >>> run = train("mlp", "digits", hidden=(64,), lr=3e-3, batch_size=32, epochs=5, seed=0)
        >>> run.metrics["test_accuracy"] > 0.9, run.reason, (run.folder / "spec.toml").exists()
        (True, 'complete', True)
    """
    base, own = settle(spec, settings, model=model, data=data, loss=loss, metrics=metrics)
    ranks = join_ranks()
    with together(ranks):
        run = Run(base, ranks=ranks, **own)
        events = (
            run.events()
            if out is False
            else begin(run, out=out, name=name, tags=tags, own=sorted(told_of(own, base)))
        )
    for _ in events:
        pass
    return run


def settle(
    spec: Spec | None, settings: Mapping[str, Any], **things: Any
) -> tuple[Spec, dict[str, Any]]:
    """Return the spec, and what it cannot say: a model, data, a loss or metrics of one's own.

    Args:
        spec: Where the settings start from; the defaults if None.
        settings: Settings by short or dotted key.
        **things: ``model``, ``data``, ``loss`` and ``metrics``, as `train` takes them.

    Raises:
        SpecError: A setting does not exist, or does not fit.
    """
    base, changes, own = spec or Spec(), dict(settings), dict[str, Any]()
    for key, value in things.items():
        if value is None:
            continue
        named = isinstance(value, str) or (key == "metrics" and not isinstance(value, Mapping))
        (changes if named else own)[key] = value
    data = own.get("data")
    if isinstance(data, Data) and data.origin is not None:  # the spec can say it
        told = base.override(changes, short_keys()).data
        if told in {base.data, DataSpec()}:
            changes["data"] = data.origin.model_dump()
    return base.override(changes, short_keys()), own


def told_of(own: Mapping[str, Any], spec: Spec) -> set[str]:
    """Return what the spec does not say of what was given in Python."""
    data = own.get("data")
    said = isinstance(data, Data) and data.origin is not None and data.origin == spec.data
    return set(own) - ({"data"} if said else set())


def begin(
    run: Run,
    *,
    out: str | Path | None = None,
    name: str | None = None,
    tags: Sequence[str] = (),
    own: Sequence[str] = (),
) -> Iterator[Event]:
    """Make the folder of a run, then train, record, and yield what happens.

    Args:
        run: The run, not begun yet; its ``folder`` is set.
        out: The folder, new or empty; None for one in the folder of runs.
        name: Name of the run; by default that of its folder.
        tags: Words to find it by.
        own: What was given in Python rather than named in the spec: model, data, loss, metrics.

    Raises:
        FileError: The folder is taken, or cannot be written.
        ThalwegError: There is no such log, or its library is not installed.
        Interrupted: Ctrl-C or SIGTERM came; the run is saved.
    """
    if run.ranks is not None and run.ranks.rank:  # the first writes
        return attend(run)
    check_logs(run.spec)
    path = (claim_path(run.spec, name) if out is None else Path(out)).absolute()
    parameters = sum(place.shape.numel() for place in run.cohort.stack.places.values())
    info = new_info(
        name=name or path.name,
        tags=list(tags),
        own=list(own),
        parameters=parameters,
        data=data_facts(run.data),
    )
    folder = RunFolder.create(path, info, run.spec, environment())
    run.folder = folder.path
    return record(run, folder, "began")


def record(
    run: Run, folder: RunFolder, how: str, lock: AbstractContextManager[Any] | None = None
) -> Iterator[Event]:
    """Train a run that has a folder, write it down, and yield what happens.

    Args:
        run: The run, at its beginning or restored.
        folder: Its folder.
        how: What to write into its log.
        lock: The lock on its folder, if this process has it already.

    Raises:
        FileError: The folder cannot be written, or another process writes it.
        Interrupted: Ctrl-C or SIGTERM came; the run is saved.
    """
    with lock or folder.locked(), stop_on_signals() as stop:
        folder = folder.change(state="running")
        shared = "" if run.ranks is None else f", in {run.ranks.world} processes"
        folder.log(f"{how} at step {run.cohort.updates}{shared}")
        recorder = Recorder(run, folder, open_logs(run.spec, folder))
        try:
            for event in run.events():
                recorder(event)
                yield event
                if run.stops(stop.signal is not None) and not isinstance(event, Finished):
                    recorder.close("interrupted")
                    hint = f"saved; thalweg resume {folder.path} goes on"
                    raise Interrupted(stop.signal or signal.SIGTERM, hint)
        finally:
            recorder.abandon()


def attend(run: Run) -> Iterator[Event]:
    """Train in a process that is not the first of several: it writes nothing.

    Raises:
        Interrupted: One of them was asked to stop.
    """
    assert run.ranks is not None
    with stop_on_signals() as stop:
        try:
            for event in run.events():
                yield event
                if run.stops(stop.signal is not None) and not isinstance(event, Finished):
                    raise Interrupted(stop.signal or signal.SIGTERM, "the first process saves")
        except ThalwegError as error:
            run.ranks.publish(error)
            raise


def open_logs(spec: Spec, folder: RunFolder) -> list[Log]:
    """Open the logs that the spec asks for.

    Raises:
        ThalwegError: There is no such log, or its library is not installed.
    """
    if not spec.record.log:
        return []
    from thalweg.store.logs import open_log

    return [
        open_log(kind, folder.path, folder.name, folder.tags, spec.model_dump(mode="json"))
        for kind in spec.record.log
    ]


def check_logs(spec: Spec) -> None:
    """Check that the logs that the spec asks for can be opened, before there is a folder.

    Raises:
        ThalwegError: There is no such log, or its library is not installed.
    """
    for kind in spec.record.log:
        from thalweg.store.logs import open_log

        open_log(kind, Path(), "")  # it opens nothing before the first row


def data_facts(data: Data) -> DataFacts:
    """Return what must be known of the data to use the network without them."""
    return DataFacts(
        name=data.name,
        task=data.task,
        input_shape=list(data.input_shape),
        classes=list(data.classes),
        mean=data.mean.tolist() if data.mean.dim() else [data.mean.item()],
        std=data.std.tolist() if data.std.dim() else [data.std.item()],
        samples={name: len(split) for name, split in data.splits().items()},
        fingerprint=fingerprint(data),
        targets=data.out_features if data.task == "regression" else 0,
    )


def fingerprint(data: Data) -> str:
    """Return a hash of the splits: their shapes, their targets, and inputs spread over them."""
    digest = hashlib.sha256()
    for name, split in data.splits().items():
        x, y = split.x.cpu(), split.y.cpu()
        digest.update(f"{name} {tuple(x.shape)} {x.dtype} {tuple(y.shape)} {y.dtype}".encode())
        flat = x.reshape(-1)
        for part in (y, flat[:: max(1, len(flat) // 65_536)]):
            digest.update(part.contiguous().numpy().data)
    return digest.hexdigest()[:32]
