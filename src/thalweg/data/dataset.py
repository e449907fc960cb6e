"""Data: the splits of one set, and what can be done to them before training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from thalweg.data import corrupt as corruption
from thalweg.data.normalize import Normalization, constants
from thalweg.data.partition import choose, part_size
from thalweg.data.split import Split
from thalweg.data.streams import stream
from thalweg.errors import DataError, SpecError, nearest
from thalweg.spec import DataSpec

Task = Literal["classification", "regression"]


@dataclass(frozen=True, eq=False)
class Data:
    """A data set in memory. Every method returns a new one and leaves this one as it is.

    Args:
        name: What the set is called.
        task: ``"classification"`` or ``"regression"``.
        train: Samples to train on.
        val: Samples to choose by.
        test: Samples to report on.
        classes: Names of the classes; empty for regression.
        mean: What was subtracted from the raw inputs; broadcasts against a sample.
        std: What they were then divided by; broadcasts against a sample.
        customary: The normalisation that ``normalize("default")`` stands for.
        origin: What `load_data` was asked for, if that says it all: a run on these data can then be
            repeated from its spec alone. None for data of your own, and after any change.

    Example:
        >>> from thalweg.data import load_data
        >>> data = load_data("digits", val=0.1)
        >>> data.input_shape, data.out_features, {k: len(s) for k, s in data.splits().items()}
        ((1, 8, 8), 10, {'train': 1258, 'val': 180, 'test': 359})
    """

    name: str
    task: Task
    train: Split
    val: Split | None = None
    test: Split | None = None
    classes: tuple[str, ...] = ()
    mean: Tensor = field(default_factory=lambda: torch.tensor(0.0))
    std: Tensor = field(default_factory=lambda: torch.tensor(1.0))
    customary: Normalization = "none"
    origin: DataSpec | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample: ``(1, 28, 28)`` for MNIST, ``(2,)`` for points in the plane."""
        return tuple(self.train.x.shape[1:])

    @property
    def out_features(self) -> int:
        """Number of classes, or of targets a sample."""
        return len(self.classes) if self.task == "classification" else self.train.y.shape[1]

    def splits(self) -> dict[str, Split]:
        """Return the splits that are there, in the order train, val, test."""
        found = {"train": self.train, "val": self.val, "test": self.test}
        return {name: split for name, split in found.items() if split is not None}

    def to(self, device: torch.device | str) -> Data:
        """Return the data on ``device``."""
        moved = self._with({name: split.to(device) for name, split in self.splits().items()})
        mean, std = self.mean.to(device), self.std.to(device)
        return replace(moved, mean=mean, std=std, origin=self.origin)

    def raw(self, x: Tensor) -> Tensor:
        """Return inputs ``(..., *input_shape)`` as they were before normalisation."""
        return x * self.std + self.mean

    def test_on_train(self) -> Data:
        """Return the data with the training samples as the test split; nothing is copied."""
        return replace(self, test=self.train, origin=None)

    def split(
        self,
        val: float | None = None,
        test: float | None = None,
        *,
        stratified: bool = False,
        seed: int = 0,
    ) -> Data:
        """Cut validation and test splits from the training samples, at random.

        Args:
            val: Below 1 a fraction of the training samples, else a count. 0 leaves no validation
                split; None leaves what there is.
            test: Likewise. A test split that is there already is replaced, never mixed in.
            stratified: Keep the proportions of the classes in each part.
            seed: Seed of the choice.

        Returns:
            Data whose parts are disjoint and together the samples there were, in their old order.

        Raises:
            SpecError: A negative size, or stratification without classes.
            DataError: The parts leave nothing to train on, or one of them is empty.
        """
        n, generator, splits = len(self.train), stream(seed, "split"), self.splits()
        sizes = {"test": part_size("test", test or 0, n), "val": part_size("val", val or 0, n)}
        if sum(sizes.values()) >= n:
            got = f"val and test of {sizes['val']} and {sizes['test']} samples"
            raise DataError(got, f"fewer than the {n} there are")
        for name, size in sizes.items():
            if size:
                train = splits["train"]
                chosen, rest = self._choose(train, size, generator, stratified)
                splits |= {name: train.take(chosen), "train": train.take(rest)}
            elif (val if name == "val" else test) is not None:
                splits.pop(name, None)
        return self._with(splits)

    def subset(self, size: float, *, stratified: bool = False, seed: int = 0) -> Data:
        """Keep ``size`` training samples, chosen at random, in their old order.

        Args:
            size: Below 1 a fraction, else a count: 50 batches of 64 are 3200.
            stratified: Keep the proportions of the classes.
            seed: Seed of the choice.

        Raises:
            SpecError: A negative size, or stratification without classes.
            DataError: More than there are, or none.
        """
        count = part_size("subset", size, len(self.train))
        if not count:
            raise DataError("subset=0", "at least one sample")
        chosen, _ = self._choose(self.train, count, stream(seed, "subset"), stratified)
        return replace(self, train=self.train.take(chosen), origin=None)

    def normalize(self, how: Normalization = "default") -> Data:
        """Subtract a mean and divide by a standard deviation, in every split.

        Works on the raw inputs: a normalisation that was there before is undone first.

        Args:
            how: ``"default"``, what is customary for the set; ``"computed"`` from the training
                split, by channel or by feature; ``"half"``, (x − 0.5) / 0.5; ``"none"``; or a pair
                ``[mean, std]``.

        Raises:
            SpecError: An unknown name, or a standard deviation that is not positive.
        """
        is_raw = bool((self.mean == 0).all() and (self.std == 1).all())
        raw = {
            name: split if is_raw else replace(split, x=self.raw(split.x))
            for name, split in self.splits().items()
        }
        mean, std = constants(how, self.customary, raw["train"].x)
        if not (bool((mean == 0).all()) and bool((std == 1).all())):
            raw = {n: replace(s, x=(s.x - mean).div_(std)) for n, s in raw.items()}
        return replace(self._with(raw), mean=mean, std=std)

    def corrupt(
        self,
        *,
        label_noise: float = 0.0,
        label_noise_kind: str = "permute",
        pixels: str = "intact",
        seed: int = 0,
    ) -> Data:
        """Corrupt the training split after Zhang et al. (2017, arXiv:1611.03530).

        The labels before corruption stay in ``train.true_y``. Validation and test stay clean, but
        for the one permutation of ``pixels="permute"``: as in the paper it is a fixed renaming of
        the inputs and holds for every split.

        Args:
            label_noise: Fraction of the training labels to corrupt, 0 to 1.
            label_noise_kind: ``"permute"`` among the samples drawn, or ``"random"`` labels.
            pixels: ``"permute"`` by one order for all, ``"permute-each"`` by one order an image,
                ``"gaussian"`` noise of the same mean and variance, or ``"intact"``.
            seed: Seed of the draws.

        Raises:
            SpecError: An unknown kind, or a fraction outside [0, 1].
        """
        if pixels not in corruption.PIXEL_KINDS:
            hint = nearest(pixels, corruption.PIXEL_KINDS)
            raise SpecError(f"pixels={pixels!r}", "a corruption of the inputs", hint)
        splits, generator = self.splits(), stream(seed, "pixels")
        if pixels == "permute":
            order = corruption.pixel_order(self.input_shape, generator)
            splits = {
                name: replace(split, x=corruption.reorder_pixels(split.x, order))
                for name, split in splits.items()
            }
        elif pixels != "intact":
            draw = {
                "permute-each": corruption.shuffle_pixels,
                "gaussian": corruption.gaussian_pixels,
            }[pixels]
            splits["train"] = replace(self.train, x=draw(self.train.x, generator))
        y = corruption.corrupt_labels(
            self.train.y, label_noise, label_noise_kind, len(self.classes), stream(seed, "labels")
        )
        splits["train"] = replace(splits["train"], y=y)
        return self._with(splits)

    def _with(self, splits: Mapping[str, Split]) -> Data:
        """Return the data with other splits, and only those."""
        val, test = splits.get("val"), splits.get("test")
        return replace(self, train=splits["train"], val=val, test=test, origin=None)

    def _choose(
        self, split: Split, count: int, generator: torch.Generator, stratified: bool
    ) -> tuple[Tensor, Tensor]:
        if stratified and not self.classes:
            raise SpecError("stratified=true for regression", "classes whose proportions to keep")
        return choose(len(split), count, generator, split.y if stratified else None)
