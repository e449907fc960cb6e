from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thalweg.errors import SpecError
from thalweg.spec import SECTIONS, SHORT_KEYS, LookaheadSpec, OptimizerSpec, Spec

SMALL = st.integers(1, 10_000)
SIZE = st.floats(0, 1e6, allow_subnormal=False)
WORD = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8)
PLAIN = st.one_of(
    st.booleans(), st.integers(-(2**62), 2**62), st.floats(-1e9, 1e9), WORD, st.lists(SMALL)
)
OPTION = st.dictionaries(
    st.sampled_from(["momentum", "hidden", "gamma", "own-key"]), PLAIN, max_size=2
)
OF_RUN: dict[str, st.SearchStrategy[Any]] = {
    "batch_size": SMALL | st.just("full"),
    "epochs": SIZE,
    "seed": st.integers(0, 2**63 - 1),
    "drop_last": st.booleans(),
    "accumulate": SMALL,
    "clip_norm": st.floats(1e-6, 1e6),
    "l1": SIZE,
    "metrics": st.lists(st.sampled_from(["accuracy", "top5"])),
    "evaluate": st.lists(st.sampled_from(["train", "val", "test"])),
    "evaluate_every": st.sampled_from(["1epoch", "20steps", "never"]),
    "precision": st.sampled_from(["float32", "bfloat16"]),
    "device": WORD,
}
OF_SECTIONS: dict[str, st.SearchStrategy[Any]] = {
    "data.source": WORD,
    "data.val": SIZE,
    "data.normalize": st.just("half") | st.tuples(SIZE, SIZE),
    "data.label_noise": st.floats(0, 1),
    "model.name": WORD,
    "optimizer.lr": SIZE,
    "optimizer.lookahead": st.fixed_dictionaries(
        {
            "k": SMALL,
            "alpha": st.floats(1e-3, 1),
            "pullback_momentum": st.sampled_from(["keep", "pull-back", "reset"]),
        }
    ),
    "schedule.per": st.sampled_from(["epoch", "step"]),
    "schedule.start": SMALL,
}


@st.composite
def changes_of_a_spec(draw: st.DrawFn) -> dict[str, Any]:
    changes = draw(st.fixed_dictionaries({}, optional=OF_RUN | OF_SECTIONS))
    for section in ("model", "optimizer", "schedule", "loss"):
        changes |= {f"{section}.{key}": value for key, value in draw(OPTION).items()}
    return changes


@given(changes_of_a_spec())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_spec_survives_toml_and_json(changes):
    spec = Spec().override(changes)
    assert Spec.from_toml(spec.to_toml()) == spec
    assert Spec.parse(json.loads(spec.model_dump_json())) == spec
    assert Spec.parse(spec.model_dump()) == spec
    assert hash(spec) == hash(Spec.from_toml(spec.to_toml()))


@given(changes_of_a_spec())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_override_changes_what_it_names_and_nothing_else(changes):
    before, after = Spec().model_dump(), Spec().override(changes).model_dump()
    for key, value in changes.items():
        section, _, inner = key.partition(".")
        if inner:
            stored = after[section].pop(inner)
            before[section].pop(inner, None)
        else:
            stored = after.pop(key)
            before.pop(key)
        assert stored == (tuple(value) if isinstance(value, list) else value)
    assert after == before


def test_toml_of_the_defaults_names_every_setting_that_has_a_value():
    text = Spec().to_toml()
    assert "batch_size = 64" in text
    assert "[optimizer]" in text
    assert Spec.from_toml(text) == Spec.from_toml("") == Spec()


def test_short_keys_are_unique_and_mean_their_section():
    fields = [key for kind in SECTIONS.values() for key in kind.model_fields if key != "name"]
    assert sorted(fields) == sorted(SHORT_KEYS)
    assert not set(SHORT_KEYS) & set(Spec.model_fields)
    assert Spec().override({"lr": 0.5}) == Spec().override({"optimizer.lr": 0.5})
    assert Spec().override({"lookahead.k": 3}).optimizer.lookahead == LookaheadSpec(k=3)
    assert Spec().override({"val": 0.1, "start": 2}).data.val == 0.1


def test_homes_tell_where_further_short_keys_live():
    spec = Spec().override({"momentum": 0.9}, {"momentum": "optimizer"})
    assert spec.optimizer.options == {"momentum": 0.9}
    with pytest.raises(SpecError, match="did you mean momentum"):
        Spec().override({"momentun": 0.9}, {"momentum": "optimizer"})


SGD = Spec().override({"optimizer": "sgd", "lr": 0.5, "optimizer.momentum": 0.9})


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": "adam"},
        {"optimizer.name": "adam"},
        {"optimizer": {"name": "adam"}},
        {"optimizer": OptimizerSpec()},
        {"optimizer": None},
    ],
)
def test_a_new_rule_starts_from_its_own_defaults(change):
    assert SGD.override(change) == Spec()


@pytest.mark.parametrize("reverse", [False, True])
def test_options_go_to_the_new_rule_in_whatever_order_they_come(reverse):
    changes = {"lr": 0.1, "optimizer": "adam", "optimizer.beta1": 0.8}
    items = reversed(changes.items()) if reverse else changes.items()
    assert SGD.override(dict(items)).optimizer == OptimizerSpec(name="adam", lr=0.1, beta1=0.8)


def test_the_same_rule_keeps_its_options():
    for change in ({"optimizer": "sgd"}, {"optimizer": {"lr": 0.5}}, {"optimizer.lr": 0.5}):
        assert SGD.override(change) == SGD


def test_another_source_keeps_what_is_done_to_the_data():
    spec = Spec().override({"data": "mnist", "label_noise": 0.5}).override({"data": "digits"})
    assert (spec.data.source, spec.data.label_noise) == ("digits", 0.5)


def test_a_mapping_is_merged_and_none_takes_back():
    spec = Spec().override({"lookahead": {"k": 3}}).override({"lookahead": {"alpha": 1.0}})
    assert spec.optimizer.lookahead == LookaheadSpec(k=3, alpha=1.0)
    assert spec.override({"lookahead": None}).optimizer.lookahead is None
    assert SGD.override({"optimizer.momentum": None, "lr": None, "name": None}, {"name": "model"})


def test_steps_take_the_place_of_epochs_and_back():
    spec = Spec().override({"epochs": 3}).override({"steps": 5})
    assert (spec.epochs, spec.steps) == (None, 5)
    spec = spec.override({"epochs": 2})
    assert (spec.epochs, spec.steps) == (2, None)
    assert spec.override({"steps": None}).epochs == 2


def test_numbers_of_numpy_and_lists_become_plain():
    np = pytest.importorskip("numpy")
    changes = {"batch_size": np.int64(8), "lr": np.float32(0.5), "model.hidden": [np.int32(3)]}
    spec = Spec().override(changes)
    assert spec == Spec().override({"batch_size": 8, "lr": 0.5, "model.hidden": (3,)})
    assert type(spec.optimizer.lr) is float
    assert Spec(metrics="top3", evaluate="train").metrics == ("top3",)


def test_a_spec_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Spec().seed = 3


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"batch_size": 0}, "got batch_size=0; expected at least 1 or 'full'."),
        ({"batch_size": -3}, "got batch_size=-3; expected at least 1 or 'full'."),
        ({"batch_size": "ful"}, "got batch_size='ful'; expected an integer or 'full'."),
        ({"batch_size": True}, "got batch_size=True; expected an integer or 'full'."),
        ({"batch_size": 2.5}, "got batch_size=2.5; expected an integer or 'full'."),
        ({"steps": 0}, "got steps=0; expected at least 1."),
        ({"epochs": -1}, "got epochs=-1; expected at least 0."),
        ({"epochs": "many"}, "got epochs='many'; expected a number."),
        ({"epochs": 1, "steps": 2}, "got epochs=1 and steps=2; expected one of them."),
        ({"l1": float("inf")}, "got l1=inf; expected a finite number."),
        ({"clip_norm": 0}, "got clip_norm=0; expected more than 0."),
        ({"seed": -1}, "got seed=-1; expected at least 0."),
        ({"seed": 2**63}, f"got seed={2**63}; expected less than 9.22337e+18."),
        ({"drop_last": "maybe"}, "got drop_last='maybe'; expected true or false."),
        ({"precision": "half"}, "got precision='half'; expected 'float32' or 'bfloat16'."),
        ({"evaluate": ["tst"]}, "got evaluate='tst'; expected 'train', 'val' or 'test'."),
        ({"evaluate": 3}, "got evaluate=3; expected a list."),
        (
            {"evaluate_every": "2 epochs"},
            "got evaluate_every='2 epochs'; "
            "expected an interval such as 1epoch, 500steps or never.",
        ),
        (
            {"until": "val_loss<1", "evaluate_every": "never"},
            "got until with evaluate_every='never'; expected evaluations to judge by.",
        ),
        (
            {"patience": 1, "evaluate_every": "never"},
            "got patience with evaluate_every='never'; expected evaluations to judge by.",
        ),
        ({"data": 3}, "got data=3; expected a table of settings."),
        ({"data": {"label_noise": 2}}, "got data.label_noise=2; expected at most 1."),
        ({"data": {"normalize": 1}}, "got data.normalize=1; expected text or a list."),
        ({"data": {"normalize": [1]}}, "got data.normalize=[1]; expected text or a longer list."),
        (
            {"data": {"normalize": [1, 2, 3]}},
            "got data.normalize=[1, 2, 3]; expected text or a shorter list.",
        ),
        ({"optimizer": {"lr": -1}}, "got optimizer.lr=-1; expected at least 0."),
        ({"optimizer": {"lr": float("nan")}}, "got optimizer.lr=nan; expected a finite number."),
        ({"optimizer": {"name": 3}}, "got optimizer.name=3; expected text."),
        (
            {"optimizer": {"lookahead": {"k": 0}}},
            "got optimizer.lookahead.k=0; expected at least 1.",
        ),
        (
            {"optimizer": {"lookahead": {"kk": 1}}},
            "got the unknown key 'optimizer.lookahead.kk'; expected a setting. "
            "Hint: did you mean k? known: alpha, k, pullback_momentum",
        ),
        (
            {"model": {"hidden": {}}},
            "got model.hidden={}; expected a number, text, true or false, or a list of these.",
        ),
        (
            {"batchsize": 3},
            "got the unknown key 'batchsize'; expected a setting. Hint: did you mean batch_size?",
        ),
        ({"lr": 3}, "got the unknown key 'lr'; expected a setting. Hint: it belongs to optimizer"),
    ],
)
def test_what_cannot_be_is_refused_in_plain_words(settings, sentence):
    for make in (Spec.parse, lambda given: Spec(**given)):
        with pytest.raises(SpecError) as caught:
            make(settings)
        assert str(caught.value) == sentence
        assert caught.value.__suppress_context__  # no trace of how it was found


def test_an_unknown_key_of_a_section_gets_the_nearest_of_the_section():
    with pytest.raises(SpecError, match=r"'data\.sorce'; expected a setting. .*mean source\?"):
        Spec().override({"data.sorce": "mnist"})


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("seed.x", "got the key 'seed.x'; expected a key of a section. Hint: seed is none"),
        (
            "optimizer.",
            "got the key 'optimizer.'; expected names between the dots. Hint: as in optimizer.lr",
        ),
        ("lrr", "got the unknown key 'lrr'; expected a setting. Hint: did you mean lr?"),
    ],
)
def test_a_key_that_leads_nowhere(key, sentence):
    with pytest.raises(SpecError) as caught:
        Spec().override({key: 1})
    assert str(caught.value) == sentence


def test_text_that_is_no_toml():
    with pytest.raises(SpecError, match=r"TOML that does not parse \(.*\); expected a spec"):
        Spec.from_toml("batch_size =")


def test_the_json_schema_knows_the_bounds():
    schema = Spec.model_json_schema()
    found = schema["$defs"]["DataSpec"]["properties"]["noise"]
    assert (found["type"], found["minimum"], found["maximum"]) == ("number", 0, 0.5)
    whole, word = schema["properties"]["batch_size"]["anyOf"]
    assert whole == {"type": "integer", "minimum": 1}
    assert word["const"] == "full"
    settings = [each for each in schema["properties"].values() if "$ref" not in each]
    assert all(each["description"] for each in settings)
