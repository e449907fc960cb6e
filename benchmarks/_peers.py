"""The training loops that are compared, each as its users write it; one runs in a worker."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
from _bench import Task, Watch
from _nets import NETS, Lookahead, Net
from _samples import Images, normalized, samples, transforms
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from thalweg import Run, Spec, load_recipe
from thalweg.engine import Evaluated, Event, Group, Step
from thalweg.study.sweeps.grid import grid
from thalweg.study.sweeps.series import Series
from thalweg.study.sweeps.size import SHARE, free_memory, largest_group


class AverageMeter:
    """The running average that course notebooks keep."""

    def __init__(self) -> None:
        self.avg = self.sum = self.count = 0.0

    def update(self, value: float, n: int) -> None:
        self.sum += value * n
        self.count += n
        self.avg = self.sum / self.count


def autocast(task: Task) -> torch.autocast:
    """Return the context in which layers compute in bfloat16, if that is the precision."""
    return torch.autocast("cpu", torch.bfloat16, enabled=task.precision == "bfloat16")


# ------------------------------------------------------------------------------------- thalweg


def thalweg(task: Task, watch: Watch) -> None:
    """Train through the public engine; every step has loss and accuracy."""
    run = Run(_spec(task), data=_stand_in(task))
    _epochs(task, watch, run.events(), len(run.data.train))


def cohort(task: Task, watch: Watch) -> None:
    """Train as many members as are wanted, with seeds of their own and one order of the samples."""
    base = _spec(task)
    specs = [base.override({"seed": seed, "order_seed": 0}) for seed in range(task.members)]
    group = Group(specs, data=_stand_in(task))
    _epochs(task, watch, group.events(), len(group.data[0].train))


def series(task: Task, watch: Watch) -> None:
    """Train many members for an epoch, in groups that fit into half of the free memory."""
    import resource

    base = _spec(task).override({"epochs": 1})
    points = grid(base, {"lr": [base.optimizer.lr]}, seeds=task.members)
    own = {"data": _stand_in(task)} if task.quick else {}
    for _ in range(task.epochs):
        budget = SHARE * free_memory()
        many = Series(points, own=own, largest=largest_group(points, own, budget))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        watch.start()
        for _ in many.events():
            pass
        watch.stop()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        watch.answer(peak_bytes=1024 * (peak - before), budget_bytes=int(budget))


def _spec(task: Task) -> Spec:
    net = NETS[task.net]
    source = {"source": "mnist", "folder": task.folder} if task.folder else {"source": "mnist"}
    return Spec.parse(
        {
            **net.spec,
            "data": source,
            "model": {"name": task.net},
            "batch_size": net.batch_size,
            "epochs": task.epochs,
            "evaluate_every": "never",
            "precision": task.precision,
            "exact": task.exact,
        }
    )


def _epochs(task: Task, watch: Watch, events: Iterator[Event], samples: int) -> None:
    per_epoch = math.ceil(samples / NETS[task.net].batch_size)
    for _ in range(task.epochs):
        watch.start()
        epoch = [event for event in islice(events, per_epoch) if isinstance(event, Step)]
        watch.stop()
        if len(epoch) < per_epoch:
            raise RuntimeError("the run ended within an epoch")
        watch.answer(loss=sum(step.metrics["loss"][0].item() for step in epoch) / per_epoch)


def _stand_in(task: Task) -> Any:
    """Return the small data for thalweg; None where the spec names the real ones."""
    if not task.quick:
        return None
    splits = samples(task).splits()
    return {name: (normalized(split.x, flat=False), split.y) for name, split in splits.items()}


# -------------------------------------------------- a DataLoader with per-sample transforms (a)


def dataloader(task: Task, watch: Watch) -> None:
    """Train with the loop of course notebooks: DataLoader, PIL, ToTensor, Normalize."""
    net, data = NETS[task.net], samples(task)
    images = Images(data.train.x, data.train.y, transforms(net.flat))
    loader = DataLoader(images, batch_size=net.batch_size, shuffle=True)
    model = net.model()
    optimizer = net.optimizer(model.parameters())
    for _ in range(task.epochs):
        watch.start()
        loss = _notebook_epoch(task, net, model, loader, optimizer)
        watch.stop()
        watch.answer(loss=loss)


def _notebook_epoch(
    task: Task, net: Net, model: nn.Module, loader: Any, optimizer: torch.optim.Optimizer
) -> float:
    losses, accuracies = AverageMeter(), AverageMeter()
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        with autocast(task):
            output = model(x)
            loss = net.loss(output, y)
        loss.backward()
        optimizer.step()
        losses.update(loss.item(), len(y))
        if net.accuracy:
            accuracies.update((output.argmax(dim=1) == y).float().mean().item(), len(y))
    return losses.avg


# ----------------------------------------------------------- a loop on tensors in memory (b)


def tensors(task: Task, watch: Watch) -> None:
    """Train with a hand-written loop on tensors in memory; it measures the loss alone."""
    net, data = NETS[task.net], samples(task)
    X, Y = normalized(data.train.x, net.flat), data.train.y
    model = net.model().train()
    optimizer = net.optimizer(model.parameters())
    for _ in range(task.epochs):
        watch.start()
        total = 0.0
        for index in torch.randperm(len(X)).split(net.batch_size):
            x, y = X[index], Y[index]
            optimizer.zero_grad(set_to_none=True)
            with autocast(task):
                loss = net.loss(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(y)
        watch.stop()
        watch.answer(loss=total / len(X))


# ------------------------------------------------------------------------- torch.func.vmap (c)


def vmap(task: Task, watch: Watch) -> None:
    """Train K networks as torch's own tutorial stacks them: vmap over gradients of one network.

    Plain SGD at the learning rate of the network's optimizer, since torch.optim moves no stacks.
    """
    from torch.func import functional_call, grad_and_value, stack_module_state
    from torch.func import vmap as mapped

    net, data = NETS[task.net], samples(task)
    X, Y = normalized(data.train.x, net.flat), data.train.y
    models = [net.model().train() for _ in range(task.members)]
    parameters, buffers = stack_module_state(models)  # type: ignore[arg-type]
    lr = net.optimizer(models[0].parameters()).param_groups[0]["lr"]

    def loss_of(p: Any, b: Any, x: Tensor, y: Tensor) -> Tensor:
        return net.loss(functional_call(models[0], (p, b), (x,)), y)

    step = mapped(grad_and_value(loss_of), in_dims=(0, 0, None, None))
    for _ in range(task.epochs):
        watch.start()
        total = torch.zeros(task.members)
        for index in torch.randperm(len(X)).split(net.batch_size):
            gradients, losses = step(parameters, buffers, X[index], Y[index])
            with torch.no_grad():
                for name, gradient in gradients.items():
                    parameters[name].sub_(gradient, alpha=lr)
            total += losses.detach() * len(index)
        watch.stop()
        watch.answer(loss=total[0].item() / len(X))


# ------------------------------------------------------- Optuna, trials on both cores (d)


def optuna(task: Task, watch: Watch) -> None:
    """Run trials of one epoch in as many processes as there are threads, one thread each.

    Each trial is the loop on tensors in memory; the data are there before the time begins.
    """
    import multiprocessing

    workers = task.threads or torch.get_num_threads()
    trials = -(-task.members // workers)
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, _prepare_trials, (task,)) as pool:
        pool.map(_run_trials, [0] * workers, chunksize=1)  # processes that have begun
        for _ in range(task.epochs):
            watch.start()
            found = pool.map(_run_trials, [trials] * workers, chunksize=1)
            watch.stop()
            watch.answer(loss=found[0], trials=trials * workers)


_TRIALS: dict[str, Any] = {}


def _prepare_trials(task: Task) -> None:
    torch.set_num_threads(1)
    net, data = NETS[task.net], samples(task)
    _TRIALS.update(net=net, x=normalized(data.train.x, net.flat), y=data.train.y)


def _run_trials(count: int) -> float:
    import optuna as package

    package.logging.set_verbosity(package.logging.ERROR)
    net, X, Y = _TRIALS["net"], _TRIALS["x"], _TRIALS["y"]

    def trial(trial: Any) -> float:
        lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
        model = net.model().train()
        optimizer = net.optimizer(model.parameters())
        for group in optimizer.param_groups:
            group["lr"] = lr
        total = 0.0
        for index in torch.randperm(len(X)).split(net.batch_size):
            optimizer.zero_grad(set_to_none=True)
            loss = net.loss(model(X[index]), Y[index])
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(index)
        return total / len(X)

    if not count:
        return 0.0
    study = package.create_study(sampler=package.samplers.RandomSampler(seed=0))
    study.optimize(trial, n_trials=count, catch=(ValueError,))
    return float(study.best_value)


# --------------------------------------------------------------------------------- Lightning


def lightning(task: Task, watch: Watch) -> None:
    """Train with Lightning: TensorDataset, DataLoader, Trainer without logger, bar, checkpoints.

    An epoch lasts from on_train_epoch_start to on_train_epoch_end.
    """
    import lightning as L  # type: ignore[import-not-found]

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    net, data = NETS[task.net], samples(task)

    class Module(L.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net, self.total = net.model(), torch.zeros(())

        def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
            x, y = batch
            loss = net.loss(self.net(x), y)
            self.total += loss.detach()
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return net.optimizer(self.parameters())

        def on_train_epoch_start(self) -> None:
            watch.start()

        def on_train_epoch_end(self) -> None:
            watch.stop()
            watch.answer(loss=self.total.item() / self.trainer.num_training_batches)
            self.total = torch.zeros(())

    trainer = L.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=task.epochs,
        precision="bf16-mixed" if task.precision == "bfloat16" else "32-true",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    memory = TensorDataset(normalized(data.train.x, net.flat), data.train.y)
    trainer.fit(Module(), DataLoader(memory, batch_size=net.batch_size, shuffle=True))


# ------------------------------------------------------------------------------------ skorch


def skorch(task: Task, watch: Watch) -> None:
    """Train with skorch's NeuralNetClassifier on tensors, without a validation split.

    The loss is a module of its own because skorch would take the logarithm again before NLLLoss.
    """
    from skorch import NeuralNetClassifier  # type: ignore[import-not-found]

    net, data = NETS[task.net], samples(task)

    class Loss(nn.Module):
        def forward(self, outputs: Tensor, y: Tensor) -> Tensor:
            return net.loss(outputs, y)

    class Classifier(NeuralNetClassifier):  # type: ignore[misc]
        def infer(self, x: Tensor, **kwargs: Any) -> Any:
            with autocast(task):
                return super().infer(x, **kwargs)

    kind = Classifier if task.precision == "bfloat16" else NeuralNetClassifier
    classifier = kind(
        net.model(),
        criterion=Loss,
        optimizer=lambda parameters, lr: net.optimizer(parameters),
        batch_size=net.batch_size,
        max_epochs=1,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    ).initialize()
    X, Y = normalized(data.train.x, net.flat), data.train.y
    for _ in range(task.epochs):
        watch.start()
        classifier.partial_fit(X, Y)
        watch.stop()
        watch.answer(loss=float(classifier.history[-1, "train_loss"]))


# ----------------------------------------------------------------------------- matrix products


PRODUCTS = {"512x784x1500": (512, 784, 1500), "512x1500x500": (512, 1500, 500)}


def gemm(task: Task, watch: Watch) -> None:
    """Time big matrix products of MKL and oneDNN; the answer is in GFLOP/s."""
    for _ in range(task.epochs):
        watch.start()
        speeds = _products(torch.float32, 1 if task.quick else 10)
        if task.precision == "bfloat16":
            speeds["bfloat16"] = _products(torch.bfloat16, 1 if task.quick else 10)["torch.mm"]
        watch.stop()
        watch.answer(gflops=speeds)


@torch.no_grad()
def _products(dtype: torch.dtype, calls: int) -> dict[str, dict[str, float]]:
    """Return the best of some calls of the forward, weight and input products, by library."""
    onednn = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    libraries: dict[str, Callable[[Tensor, Tensor], Any]] = {"torch.mm": torch.mm}
    if onednn is not None and torch.backends.mkldnn.is_available():
        libraries["oneDNN"] = lambda a, b: onednn(a, b.t(), None, "none", [], "")
    speeds: dict[str, dict[str, float]] = {name: {} for name in libraries}
    for label, (batch, inputs, outputs) in PRODUCTS.items():
        x = torch.randn(batch, inputs).to(dtype)
        w = torch.randn(outputs, inputs).to(dtype)
        g = torch.randn(batch, outputs).to(dtype)
        for part, a, b in (("y", x, w.t()), ("dW", g.t(), x), ("dX", g, w)):
            for name, multiply in libraries.items():
                multiply(a, b)
                best = min(_seconds(multiply, a, b) for _ in range(calls))
                speeds[name][f"{label} {part}"] = 2e-9 * batch * inputs * outputs / best
    return speeds


def _seconds(multiply: Callable[[Tensor, Tensor], Any], a: Tensor, b: Tensor) -> float:
    begin = time.perf_counter()
    multiply(a, b)
    return time.perf_counter() - begin


# ------------------------------------------------------------------- until the last error is gone


def recipe(task: Task, watch: Watch) -> None:
    """Run a recipe of thalweg until the training accuracy is 1, once for each request's seed."""
    for _ in range(task.epochs):
        seed, base = watch.start()["seed"], load_recipe(task.net)
        changes: dict[str, Any] = {"seed": seed, "until": "train_accuracy>=1.0"}
        if task.folder:
            changes["folder"] = task.folder
        if task.quick:
            changes |= {"source": "digits", "epochs": 5}
        run = Run(base.override(changes), data=_stand_in(task))
        evaluated = None
        watch.begin()
        for event in run.events():
            if isinstance(event, Evaluated):
                evaluated = event
                watch.stop()  # the last one counts
        if evaluated is None:
            raise RuntimeError("the recipe evaluates nothing")
        accuracy = evaluated.metrics["train_accuracy"][0]
        watch.answer(
            right=round(accuracy * len(run.data.train)),
            of=len(run.data.train),
            epochs=evaluated.clock.epoch,
            training_seconds=evaluated.clock.seconds,
            reason=run.reason,
            test_accuracy=run.evaluate("test")["accuracy"],
        )


def notebook(task: Task, watch: Watch) -> None:
    """Train mish-bn as its author did: DataLoader, transforms; all samples evaluated each epoch.

    Evaluation is on the training and the test set, with Lookahead's slow weights.
    """
    net, data = NETS["mish-bn"], samples(task)
    batch_size = 1024 if task.label_noise else net.batch_size
    train, test = (
        Images(s.x, s.y, transforms(net.flat)) for s in (data.train, data.splits()["test"])
    )
    loader = DataLoader(train, batch_size=batch_size, shuffle=True)
    loaders = [DataLoader(split, batch_size=512) for split in (train, test)]
    model = net.model()
    optimizer = net.optimizer(model.parameters())
    assert isinstance(optimizer, Lookahead)
    for _ in range(task.epochs):
        watch.start()
        loss = _notebook_epoch(task, net, model, loader, optimizer)
        with optimizer.slow_weights():
            right = [_notebook_test(net, model, split) for split in loaders]
        watch.stop()
        watch.answer(loss=loss, train_right=right[0], test_right=right[1])


@torch.no_grad()
def _notebook_test(net: Net, model: nn.Module, loader: Any) -> int:
    model.eval()
    total, correct = 0.0, 0
    for x, y in loader:
        output = model(x)
        total += net.loss(output, y).item() * len(y)
        prediction = output.argmax(dim=1, keepdim=True)
        correct += int(prediction.eq(y.view_as(prediction)).sum().item())
    return correct


PEERS: dict[str, Callable[[Task, Watch], None]] = {
    "thalweg": thalweg,
    "cohort": cohort,
    "series": series,
    "vmap": vmap,
    "optuna": optuna,
    "dataloader": dataloader,
    "tensors": tensors,
    "lightning": lightning,
    "skorch": skorch,
    "gemm": gemm,
    "recipe": recipe,
    "notebook": notebook,
}
