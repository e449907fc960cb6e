"""The sections of a spec."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from thalweg.spec.section import (
    Count,
    Natural,
    NonNegative,
    OpenSection,
    Positive,
    Section,
    Seed,
    Share,
)
from thalweg.spec.text import parse_interval


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
    label_noise: Share = Field(0.0, description="fraction of training labels to corrupt")
    label_noise_kind: Literal["permute", "random"] = Field(
        "permute", description="permute the labels among samples, or draw new ones"
    )
    pixels: Literal["intact", "permute", "permute-each", "gaussian"] = Field(
        "intact", description="corruption of the inputs"
    )
    noise: NonNegative = Field(0.0, le=0.5, description="noise of the toy sets")
    size: Count | None = Field(None, description="side to which a folder's images are resized")
    split_seed: Seed = Field(0, description="seed of splits, subsets, toy sets and corruptions")


class ModelSpec(OpenSection):
    """What is trained: a model's name, its init, and the options that it takes."""

    name: str = Field("mlp", description="name of a model")
    init: str = Field("default", description="name of an initialisation; default is the model's")
    weights: str | None = Field(None, description="file to start from, .safetensors or .pt")


class LookaheadSpec(Section):
    """Lookahead around the rule (Zhang et al. 2019, arXiv:1907.08610)."""

    k: Count = Field(5, description="inner steps between two synchronisations")
    alpha: Positive = Field(0.5, le=1, description="step of the slow weights")
    pullback_momentum: Literal["keep", "pull-back", "reset"] = Field(
        "keep", description="what becomes of momentum when the weights are set back"
    )


class OptimizerSpec(OpenSection):
    """How the parameters move: a rule's name and its hyperparameters."""

    name: str = Field("adam", description="name of an update rule")
    lr: NonNegative | None = Field(None, description="learning rate; the rule's default if none")
    wrap: tuple[str, ...] = Field((), description="what goes around the rule, the inmost first")
    lookahead: LookaheadSpec | None = Field(None, description="wrap the rule in Lookahead")

    @field_validator("wrap", mode="before")
    @classmethod
    def _list_of_one(cls, names: Any) -> Any:
        return (names,) if isinstance(names, str) else names


class ScheduleSpec(OpenSection):
    """How a hyperparameter changes over time."""

    name: str = Field("constant", description="name of a schedule")
    per: Literal["epoch", "step"] = Field("epoch", description="the unit that the schedule counts")
    start: Natural = Field(0, description="units before the schedule begins")
    target: str = Field("lr", description="the hyperparameter that changes")


class LossSpec(OpenSection):
    """What is minimised; ``auto`` is cross entropy for classes and MSE for regression."""

    name: str = Field("auto", description="name of a loss")


class RecordSpec(Section):
    """What is written while a run goes on; it has no part in the result."""

    checkpoint_every: str = Field(
        "10s", description="how often to save: 10s, 2epochs, 500steps, or never but at the end"
    )
    keep_last: Count = Field(2, description="checkpoints to keep")
    keep_best: bool = Field(True, description="keep the one that is best by monitor, too")
    log: tuple[str, ...] = Field((), description="where else to write: tensorboard, mlflow, wandb")

    @field_validator("log", mode="before")
    @classmethod
    def _list_of_one(cls, names: Any) -> Any:
        return (names,) if isinstance(names, str) else names

    @field_validator("checkpoint_every")
    @classmethod
    def _interval(cls, text: str) -> str:
        parse_interval(text, seconds=True)
        return text


SECTIONS: dict[str, type[Section]] = {
    "data": DataSpec,
    "model": ModelSpec,
    "optimizer": OptimizerSpec,
    "schedule": ScheduleSpec,
    "loss": LossSpec,
    "record": RecordSpec,
}
"""The sections of a spec by name."""

SHORT_KEYS: dict[str, str] = {
    key: section for section, kind in SECTIONS.items() for key in kind.model_fields if key != "name"
}
"""The section in which each short key lives."""
