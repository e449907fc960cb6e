from __future__ import annotations

import pytest

from thalweg import nn, optim
from thalweg.cli.parser import Parser
from thalweg.cli.settings import add_settings, read_settings, settings
from thalweg.engine import short_keys
from thalweg.errors import SpecError
from thalweg.recipes import load_recipe
from thalweg.spec import SECTIONS, SHORT_KEYS, LookaheadSpec, Spec


def read(*words: str, base: Spec | None = None) -> Spec:
    parser = Parser(prog="thalweg train")
    add_settings(parser)
    return read_settings(parser.read(words), base or Spec())


def test_every_setting_of_the_spec_is_an_option() -> None:
    keys = {setting.key for setting in settings()}
    leaves = {*SHORT_KEYS, *Spec.model_fields, *short_keys()}
    leaves |= {f"lookahead.{key}" for key in LookaheadSpec.model_fields}
    # The source is the positional argument, and a section without names has no option of its own.
    assert keys == leaves - {"source"} - (set(SECTIONS) - set(NAMED))


def test_every_setting_says_what_it_means() -> None:
    for setting in settings():
        assert len(setting.help) > 5, setting.key
        assert not setting.help.startswith(("(", ":")), setting.key


def test_every_option_of_a_rule_and_a_schedule_says_who_takes_it() -> None:
    by_key = {setting.key: setting.help for setting in settings()}
    for names, options in (
        ([name for name in optim.rules() if name != "lookahead"], optim.hyperparameters),
        (list(optim.schedules()), optim.schedule_options),
    ):
        for name in names:
            for option in options(name):
                if option.name not in {"lr", "inner"}:
                    assert name in by_key[option.name]
                    assert option.help in by_key[option.name]
    assert "all but garment" in by_key["hidden"]
    assert "label-smoothing" in by_key["smoothing"]
    assert set(nn.ACTIVATIONS) <= set(by_key["activation"].replace(",", "").split())


def test_nothing_given_changes_nothing() -> None:
    base = load_recipe("perfect-fit")
    assert read(base=base) == base


@pytest.mark.parametrize(
    ("words", "section", "key", "value"),
    [
        (["--lr", "1e-3"], "optimizer", "lr", 0.001),
        (["--lr=.5"], "optimizer", "lr", 0.5),
        (["--lr", "none"], "optimizer", "lr", None),
        (["--momentum", "0.9"], "optimizer", "momentum", 0.9),
        (["--nesterov"], "optimizer", "nesterov", True),
        (["--no-nesterov"], "optimizer", "nesterov", False),
        (["--hidden", "200,100"], "model", "hidden", (200, 100)),
        (["--hidden", "none"], "model", "hidden", ()),
        (["--norm", "batch"], "model", "norm", "batch"),
        (["--init", "normal(0.01)"], "model", "init", "normal(0.01)"),
        (["--milestones", "10, 11"], "schedule", "milestones", (10, 11)),
        (["--per", "step"], "schedule", "per", "step"),
        (["--smoothing", "0"], "loss", "smoothing", 0.0),
        (["--subset", "3200"], "data", "subset", 3200.0),
        (["--normalize", "half"], "data", "normalize", "half"),
        (["--normalize", "0.1,0.3"], "data", "normalize", (0.1, 0.3)),
        (["--folder", "2024"], "data", "folder", "2024"),
        (["--stratified"], "data", "stratified", True),
    ],
)
def test_an_option_sets_a_setting_of_a_section(
    words: list[str], section: str, key: str, value: object
) -> None:
    changed = getattr(read(*words), section)
    assert changed.model_dump()[key] == value
    assert type(changed.model_dump()[key]) is type(value)


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["--batch-size", "512"], "batch_size", 512),
        (["--batch-size", "full"], "batch_size", "full"),
        (["--epochs", "1.5"], "epochs", 1.5),
        (["--evaluate", "train,test"], "evaluate", ("train", "test")),
        (["--evaluate", "none"], "evaluate", ()),
        (["--metrics", "accuracy,top5"], "metrics", ("accuracy", "top5")),
        (["--until", "train_accuracy>=1.0"], "until", "train_accuracy>=1.0"),
        (["-s", "seed=3"], "seed", 3),
        (["--seed", "1", "-s", "seed=2", "--set", "seed=3"], "seed", 3),
    ],
)
def test_an_option_sets_a_setting_of_the_run(words: list[str], key: str, value: object) -> None:
    assert getattr(read(*words), key) == value


NAMED = sorted(section for section, kind in SECTIONS.items() if "name" in kind.model_fields)


@pytest.mark.parametrize("section", NAMED)
def test_a_sections_option_sets_its_name(section: str) -> None:
    name = {"loss": "nll", "model": "one-fc", "optimizer": "sgd", "schedule": "cosine"}[section]
    assert getattr(read(f"--{section}", name), section).name == name


def test_lookahead_is_put_on_and_taken_off() -> None:
    assert read("--lookahead").optimizer.lookahead == LookaheadSpec()
    one = LookaheadSpec(k=2, alpha=0.8)
    assert read("--lookahead.k", "2", "--lookahead.alpha", "0.8").optimizer.lookahead == one
    base = load_recipe("perfect-fit")
    assert read("--no-lookahead", base=base).optimizer.lookahead is None
    assert read("--lookahead", base=base) == base  # it keeps what the recipe says
    dotted = read("-s", "optimizer.lookahead.k=7", base=base).optimizer.lookahead
    assert dotted == LookaheadSpec(k=7, alpha=0.8)


def test_a_new_rule_starts_from_its_own_defaults() -> None:
    changed = read("--optimizer", "sgd", "--momentum", "0.5", base=load_recipe("perfect-fit"))
    assert changed.optimizer.model_dump() == {
        "name": "sgd", "lr": None, "lookahead": None, "wrap": (), "momentum": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "got"),
    [
        (["--batch-size", "0"], "batch_size=0"),
        (["--batch-size", "half"], "batch_size='half'"),
        (["--per", "epok"], "schedule.per='epok'"),
        (["--evaluate", "tets"], "evaluate"),
        (["--epochs", "1", "--steps", "2"], "epochs=1 and steps=2"),
        (["-s", "lrr=1"], "'lrr'"),
        (["-s", "lr"], "'lr'"),
    ],
)
def test_the_spec_refuses_what_does_not_fit(words: list[str], got: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(*words)
    assert got in caught.value.got


def test_only_some_sections() -> None:
    parser = Parser(prog="thalweg model")
    add_settings(parser, "model")
    assert read_settings(parser.read(["--bias"]), Spec()).model.options == {"bias": True}
    with pytest.raises(SpecError, match="unknown option --lr"):
        parser.read(["--lr", "1"])
    with pytest.raises(SpecError, match="unknown option --model"):
        parser.read(["--model", "mlp"])
