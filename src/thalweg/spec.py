"""What to run: one frozen specification behind Python, TOML, the command line and forms."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from thalweg.errors import SpecError, nearest

Count = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
SplitName = Literal["train", "val", "test"]


class Section(BaseModel):
    """A frozen group of settings; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class OpenSection(Section):
    """A section whose ``name`` selects from a registry, which validates the other keys."""

    model_config = ConfigDict(frozen=True, extra="allow", validate_default=True)

    @property
    def options(self) -> dict[str, Any]:
        """The keys that belong to the selected thing rather than to every one of its kind."""
        return dict(self.__pydantic_extra__ or {})


class DataSpec(Section):
    """Where the samples come from; the keys are those of `thalweg.load_data`."""

    source: str = Field("digits", description="name of a data set, or a folder of class folders")
    folder: str | None = Field(None, description="folder that holds the named set's files")
    normalize: str | tuple[float, float] = Field(
        "default", description="default, computed, half, none, or mean and std"
    )
    val: NonNegative | None = Field(None, description="validation samples: a fraction or a count")
    test: NonNegative | None = Field(None, description="test samples: a fraction or a count")
    stratified: bool = Field(False, description="keep the class proportions in every split")
    subset: NonNegative | None = Field(None, description="training samples to keep, likewise")
    label_noise: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="fraction of training labels to corrupt"
    )
    label_noise_kind: Literal["permute", "random"] = Field(
        "permute", description="permute the labels among samples, or draw new ones"
    )
    pixels: Literal["intact", "permute", "permute-each", "gaussian"] = Field(
        "intact", description="corruption of the inputs"
    )
    noise: Annotated[float, Field(ge=0, le=0.5)] = Field(0.0, description="noise of the toy sets")
    size: Count | None = Field(None, description="side to which a folder's images are resized")
    split_seed: int = Field(0, description="seed of splits, subsets, toy sets and corruptions")


class ModelSpec(OpenSection):
    """What is trained: a model's name, its init, and the options that it takes."""

    name: str = Field("mlp", description="name of a model")
    init: str = Field("default", description="name of an initialisation; default is the model's")


class LookaheadSpec(Section):
    """Lookahead around the rule (Zhang et al. 2019, arXiv:1907.08610)."""

    k: Count = Field(5, description="inner steps between two synchronisations")
    alpha: Annotated[float, Field(gt=0, le=1)] = Field(0.5, description="step of the slow weights")


class OptimizerSpec(OpenSection):
    """How the parameters move: a rule's name and its hyperparameters."""

    name: str = Field("adam", description="name of an update rule")
    lr: float | None = Field(None, description="learning rate; the rule's default if none")
    lookahead: LookaheadSpec | None = Field(None, description="wrap the rule in Lookahead")


class ScheduleSpec(OpenSection):
    """How a hyperparameter changes over time."""

    name: str = Field("constant", description="name of a schedule")
    per: Literal["epoch", "step"] = Field("epoch", description="the unit that the schedule counts")
    start: Annotated[int, Field(ge=0)] = Field(0, description="units before the schedule begins")
    target: str = Field("lr", description="the hyperparameter that changes")


class LossSpec(OpenSection):
    """What is minimised; ``auto`` is cross entropy for classes and MSE for regression."""

    name: str = Field("auto", description="name of a loss")


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

    batch_size: Count | Literal["full"] = Field(64, description="samples a step, or full")
    epochs: NonNegative | None = Field(None, description="passes over the training set")
    steps: Count | None = Field(None, description="updates, instead of epochs")
    seed: int = Field(0, description="seed of the init, the data order and the dropout masks")
    drop_last: bool = Field(False, description="leave out a last batch that is short")
    accumulate: Count = Field(1, description="batches whose gradients make one update")
    clip_norm: NonNegative | None = Field(None, description="largest 2-norm of the gradient")
    clip_value: NonNegative | None = Field(None, description="largest gradient entry")
    l1: NonNegative = Field(
        0.0, description="weight of the L1 penalty on weights of two or more axes"
    )
    l2: NonNegative = Field(0.0, description="weight of ½‖w‖² on weights of two or more axes")
    metrics: tuple[str, ...] | None = Field(None, description="what to measure beside the loss")
    evaluate: tuple[SplitName, ...] = Field(("val", "test"), description="splits to evaluate")
    evaluate_every: str = Field("1epoch", description="how often: 2epochs, 100steps, or never")
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
    max_seconds: NonNegative | None = Field(None, description="stop after so many seconds")
    record_states: Annotated[int, Field(ge=0)] = Field(
        0, description="keep the parameters of every n-th step"
    )
    record_budget: NonNegative = Field(256.0, description="memory for recorded states, in MB")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="arithmetic of the layers"
    )
    device: str = Field("cpu", description="device, such as cpu or cuda")
    threads: Count | None = Field(None, description="threads; torch's default if none")

    @field_validator("evaluate_every")
    @classmethod
    def _interval(cls, text: str) -> str:
        parse_interval(text)
        return text

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.epochs is not None and self.steps is not None:
            raise ValueError("epochs or steps, not both")
        return self

    @classmethod
    def parse(cls, mapping: Mapping[str, Any]) -> Spec:
        """Build a spec from nested mappings, as TOML or JSON give them.

        Raises:
            SpecError: An unknown key, a value of the wrong type or out of range.
        """
        try:
            return cls.model_validate(dict(mapping))
        except ValidationError as error:
            raise _restate(cls, error) from None

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

        Args:
            changes: Dotted or short keys with their new values. A mapping given for a section is
                merged into it; a string is taken as the section's name.
            homes: Sections of further short keys, such as a rule's ``momentum``.

        Raises:
            SpecError: An unknown key, or a value that does not fit.
        """
        tree = self.model_dump(exclude_none=True)
        # A section's name first: a new rule starts from its own defaults, not from the old one's.
        for key, value in sorted(changes.items(), key=lambda item: item[0] not in SECTIONS):
            path = self._locate(key, homes or {})
            if len(path) == 1 and path[0] in SECTIONS and isinstance(value, str):
                label = "source" if path[0] == "data" else "name"
                same = value == tree[path[0]].get(label)
                keep = tree[path[0]] if same or path[0] == "data" else {}
                tree[path[0]] = {**keep, label: value}
                continue
            node = tree
            for part in path[:-1]:
                node = node.setdefault(part, {})
                if not isinstance(node, dict):
                    raise SpecError(f"the key {key!r}", "a key of a section", f"{part} is none")
            if isinstance(value, Mapping) and isinstance(node.get(path[-1]), dict):
                node[path[-1]] = {**node[path[-1]], **value}
            elif value is None:
                node.pop(path[-1], None)
            else:
                node[path[-1]] = value
        if "steps" in changes and "epochs" not in changes and changes["steps"] is not None:
            tree.pop("epochs", None)
        if "epochs" in changes and "steps" not in changes and changes["epochs"] is not None:
            tree.pop("steps", None)
        return self.parse(tree)

    @staticmethod
    def _locate(key: str, homes: Mapping[str, str]) -> list[str]:
        head, *rest = key.split(".")
        if head in Spec.model_fields:
            return [head, *rest]
        home = SHORT_KEYS.get(head) or homes.get(head)
        if home is None:
            known = {*Spec.model_fields, *SHORT_KEYS, *homes}
            raise SpecError(f"the unknown key {key!r}", "a setting", nearest(head, known))
        return [home, head, *rest]


SECTIONS: dict[str, type[Section]] = {
    "data": DataSpec,
    "model": ModelSpec,
    "optimizer": OptimizerSpec,
    "schedule": ScheduleSpec,
    "loss": LossSpec,
}
"""The sections of a spec by name."""

SHORT_KEYS: dict[str, str] = {
    key: section for section, kind in SECTIONS.items() for key in kind.model_fields if key != "name"
}
"""The section in which each short key lives."""


def parse_interval(text: str) -> tuple[int, str] | None:
    """Read how often something happens.

    Returns:
        A count and its unit (``"epoch"`` or ``"step"``), or None for ``"never"``.

    Raises:
        ValueError: The text is not such an interval.

    Example:
        >>> parse_interval("2epochs"), parse_interval("500steps"), parse_interval("never")
        ((2, 'epoch'), (500, 'step'), None)
    """
    if text == "never":
        return None
    for unit in ("epoch", "step"):
        digits = text.removesuffix("s").removesuffix(unit)
        if digits != text and digits.isdigit() and int(digits) > 0:
            return int(digits), unit
    raise ValueError("an interval such as 1epoch, 500steps or never")


def parse_setting(text: str) -> tuple[str, Any]:
    """Split ``KEY=VALUE`` as typed after ``-s``; the value is TOML, or else plain text.

    Raises:
        SpecError: There is no equals sign.

    Example:
        >>> parse_setting("optimizer.lr=0.01"), parse_setting("model.init=he-normal")
        (('optimizer.lr', 0.01), ('model.init', 'he-normal'))
    """
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise SpecError(f"the setting {text!r}", "KEY=VALUE", "as in -s optimizer.lr=0.01")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    if isinstance(parsed, float) and not math.isfinite(parsed):
        raise SpecError(f"{key.strip()} = {value.strip()}", "a finite number")
    return key.strip(), parsed


def _restate(kind: type[BaseModel], error: ValidationError) -> SpecError:
    """Say the first of pydantic's complaints in the family's words."""
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        # Only Lookahead nests deeper than a section.
        section = LookaheadSpec if len(where) > 2 else SECTIONS.get(where[0], kind)
        hint = nearest(where[-1], section.model_fields)
        return SpecError(f"the unknown key {'.'.join(where)!r}", "a setting", hint)
    named = [part for part in where if part in Spec.model_fields or part in SHORT_KEYS]
    got = f"{'.'.join(named)}={first['input']!r}" if named else "settings that do not go together"
    reason = first["msg"].removeprefix("Value error, ")
    expected, _, hint = (reason[0].lower() + reason[1:]).partition("; ")
    return SpecError(got, expected.removeprefix("input should be "), hint)
