"""What to run: one frozen specification behind Python, TOML, the command line and forms."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

import tomli_w
from pydantic import Field, ValidationError, field_validator, model_validator

from thalweg.errors import SpecError, nearest
from thalweg.spec.complaint import restate
from thalweg.spec.section import Count, Natural, NonNegative, Positive, Section, Seed
from thalweg.spec.sections import (
    SECTIONS,
    SHORT_KEYS,
    DataSpec,
    LossSpec,
    ModelSpec,
    OptimizerSpec,
    RecordSpec,
    ScheduleSpec,
)
from thalweg.spec.text import parse_interval

SplitName = Literal["train", "val", "test"]


class Spec(Section):
    """A complete, repeatable training run.

    Leaf names are unique over the sections, so ``lr`` means ``optimizer.lr`` wherever a setting is
    named: in keyword arguments, in ``-s KEY=VALUE`` and in a sweep's axes. A section given a
    string takes it as its name (``optimizer="adam"``).

    Example:
        >>> spec = Spec().override({"optimizer": "sgd", "lr": 0.1, "optimizer.momentum": 0.9})
        >>> spec.optimizer.name, spec.optimizer.lr, spec.optimizer.options
        ('sgd', 0.1, {'momentum': 0.9})
        >>> Spec.from_toml(spec.to_toml()) == spec
        True
    """

    data: DataSpec = DataSpec()
    model: ModelSpec = ModelSpec()
    optimizer: OptimizerSpec = OptimizerSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    loss: LossSpec = LossSpec()
    record: RecordSpec = RecordSpec()

    batch_size: Count | Literal["full"] = Field(64, description="samples a step, or full")
    epochs: NonNegative | None = Field(None, description="passes over the training set")
    steps: Count | None = Field(None, description="updates, instead of epochs")
    seed: Seed = Field(0, description="seed of the init, the data order and the dropout masks")
    order_seed: Seed | None = Field(
        None, description="seed of the data order alone; that of the rest if none"
    )
    drop_last: bool = Field(False, description="leave out a last batch that is short")
    accumulate: Count = Field(1, description="batches whose gradients make one update")
    clip_norm: Positive | None = Field(None, description="largest 2-norm of the gradient")
    clip_value: Positive | None = Field(None, description="largest gradient entry")
    skip_nonfinite: bool = Field(False, description="leave out updates by gradients not finite")
    l1: NonNegative = Field(
        0.0, description="weight of the L1 penalty on weights of two or more axes"
    )
    l2: NonNegative = Field(0.0, description="weight of ½‖w‖² on weights of two or more axes")
    metrics: tuple[str, ...] | None = Field(None, description="what to measure beside the loss")
    evaluate: tuple[SplitName, ...] = Field(("val", "test"), description="splits to evaluate")
    evaluate_every: str = Field("1epoch", description="how often: 2epochs, 100steps, or never")
    evaluate_last: Literal["all", "chosen"] = Field(
        "all", description="at the end: every split, or only those of evaluate"
    )
    evaluate_weights: Literal["auto", "current", "slow"] = Field(
        "auto", description="weights to evaluate; auto takes slow ones where the rule has them"
    )
    until: str | None = Field(None, description="stop when true, as in train_accuracy>=1.0")
    monitor: str = Field(
        "val_loss", description="metric that patience watches; loss falls, others rise"
    )
    patience: Count | None = Field(
        None, description="evaluations without improvement before a stop"
    )
    max_seconds: NonNegative | None = Field(
        None, description="stop after so many seconds of training"
    )
    record_states: Natural = Field(0, description="keep the parameters of every n-th step")
    record_budget: NonNegative = Field(256.0, description="memory for recorded states, in MB")
    exact: bool = Field(
        True, description="the same bits alone and beside others; without, kernels may be quicker"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="arithmetic of the layers"
    )
    device: str = Field("cpu", description="device, such as cpu or cuda")
    threads: Count | None = Field(None, description="threads; torch's default if none")

    def __init__(self, **settings: Any) -> None:
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise restate(type(self), error) from None

    @field_validator("evaluate", "metrics", mode="before")
    @classmethod
    def _list_of_one(cls, names: Any) -> Any:
        return (names,) if isinstance(names, str) else names

    @field_validator("evaluate_every")
    @classmethod
    def _interval(cls, text: str) -> str:
        parse_interval(text)
        return text

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if self.epochs is not None and self.steps is not None:
            raise ValueError(f"epochs={self.epochs:g} and steps={self.steps}: one of them")
        for name in ("until", "patience"):
            if self.evaluate_every == "never" and getattr(self, name) is not None:
                raise ValueError(f"{name} with evaluate_every='never': evaluations to judge by")
        return self

    @classmethod
    def parse(cls, mapping: Mapping[str, Any]) -> Spec:
        """Build a spec from nested mappings, as TOML or JSON give them.

        Raises:
            SpecError: An unknown key, a value of the wrong type or out of range.
        """
        return cls(**{str(key): value for key, value in mapping.items()})

    @classmethod
    def from_toml(cls, text: str) -> Spec:
        """Read a spec from TOML text.

        Raises:
            SpecError: The text is not TOML, or not a spec.
        """
        try:
            return cls.parse(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise SpecError(f"TOML that does not parse ({error})", "a spec in TOML") from None

    def to_toml(self) -> str:
        """Return the whole spec, defaults included, as TOML; None is left out."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))

    def override(self, changes: Mapping[str, Any], homes: Mapping[str, str] | None = None) -> Spec:
        """Return a spec with some settings changed.

        A section whose name changes starts from the defaults of what is named, not from the options
        of what was. ``steps`` takes the place of ``epochs``, and the other way round.

        Args:
            changes: Dotted or short keys with their new values. A mapping given for a section is
                merged into it; a string is taken as the section's name; None takes back a setting.
            homes: Sections of further short keys, such as a rule's ``momentum``.

        Raises:
            SpecError: An unknown key, or a value that does not fit.
        """
        tree = self.model_dump(exclude_none=True)
        given = list(_paths(changes, homes or {}))
        for (section, *rest), value in given:
            renamed = rest == ["name"] and value != tree[section]["name"]
            if renamed or (not rest and value is None):
                tree[section] = {}
        for path, value in given:
            node = tree
            for part in path[:-1]:
                node = node.setdefault(part, {})
                if not isinstance(node, dict):
                    key = ".".join(path)
                    raise SpecError(f"the key {key!r}", "a key of a section", f"{part} is none")
            if isinstance(value, Mapping) and isinstance(node.get(path[-1]), dict):
                node[path[-1]] = {**node[path[-1]], **value}
            elif value is None:
                node.pop(path[-1], None)
            else:
                node[path[-1]] = value
        for length, other in (("steps", "epochs"), ("epochs", "steps")):
            if changes.get(length) is not None and other not in changes:
                tree.pop(other, None)
        return self.parse(tree)


def _paths(changes: Mapping[str, Any], homes: Mapping[str, str]) -> Iterator[tuple[list[str], Any]]:
    """Yield where each change goes; those of a section come one by one."""
    for key, value in changes.items():
        path = _locate(key, homes)
        if path[0] in SECTIONS and len(path) == 1 and isinstance(value, str):
            yield [*path, "source" if path == ["data"] else "name"], value
        elif path[0] in SECTIONS and len(path) == 1 and isinstance(value, Mapping):
            yield from (([*path, inner], new) for inner, new in value.items())
        else:
            yield path, value


def _locate(key: str, homes: Mapping[str, str]) -> list[str]:
    """Return the path of a dotted or short key."""
    head, *rest = key.split(".")
    if head in Spec.model_fields:
        path = [head, *rest]
    elif head in SHORT_KEYS or head in homes:
        path = [SHORT_KEYS.get(head) or homes[head], head, *rest]
    else:
        known = {*Spec.model_fields, *SHORT_KEYS, *homes}
        raise SpecError(f"the unknown key {key!r}", "a setting", nearest(head, known))
    if "" in path:
        raise SpecError(f"the key {key!r}", "names between the dots", "as in optimizer.lr")
    return path
