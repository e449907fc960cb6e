"""What does not fit together is found before training, and said in plain words."""

from __future__ import annotations

import pytest
from torch import nn

from thalweg.engine import accuracy, short_keys
from thalweg.errors import ModelError, SpecError
from thalweg.study import train


def own() -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


@pytest.mark.parametrize(
    ("arguments", "settings", "kind", "sentence"),
    [
        (["mpl"], {}, SpecError, "got model 'mpl'; .* did you mean mlp"),
        (["mlp", "minst"], {}, SpecError, "did you mean mnist"),
        (["mlp"], {"optimizer": "adamm"}, SpecError, "got optimizer 'adamm'; .* mean adam"),
        (["mlp"], {"schedule": "cosin"}, SpecError, "got schedule 'cosin'; .* mean cosine"),
        (["mlp"], {"loss": "nlll"}, SpecError, "got loss 'nlll'; .* mean nll"),
        (["mlp"], {"init": "he-norml"}, SpecError, "he-normal"),
        (["mlp"], {"metrics": ["acc"]}, SpecError, "got the unknown metric 'acc'"),
        (["mlp"], {"momentun": 0.9}, SpecError, "got the unknown key 'momentun'; .* momentum"),
        (["mlp"], {"lr": -1}, SpecError, r"got optimizer.lr=-1; expected at least 0"),
        (["mlp"], {"batch_size": 0}, SpecError, "got batch_size=0; expected at least 1"),
        (["mlp"], {"epochs": 0}, SpecError, "got epochs=0; expected at least one update"),
        (["mlp"], {"momentum": 0.9}, SpecError, "got momentum for optimizer adam"),
        (["mlp"], {"target": "beta3"}, SpecError, "got a schedule for 'beta3' of optimizer adam"),
        (["mlp"], {"device": "abacus"}, SpecError, "got device='abacus'"),
        (["mlp"], {"loss": "mse"}, SpecError, "got the loss mse for a classification"),
        (["mlp"], {"loss": "nll"}, ModelError, "log-probabilities"),
        (
            ["mlp"],
            {"until": "accuracy"},
            SpecError,
            "got until='accuracy'; expected METRIC>=",
        ),
        (["mlp"], {"until": "train_acuracy>=1"}, SpecError, "mean train_accuracy"),
        (["mlp"], {"until": "val_loss<1"}, SpecError, "there is no validation split, .* val=0.1"),
        (["mlp"], {"patience": 2}, SpecError, "got a condition on 'val_loss'; .*val=0.1"),
        ([nn.Linear], {}, ModelError, "got the class Linear as a model; expected the name"),
        ([3], {}, ModelError, "got 3 as a model; expected the name of a model, or an nn.Module"),
        ([own()], {"hidden": [3]}, SpecError, "got hidden for a model of your own"),
        ([own().double()], {}, ModelError, r"parameters of torch.float64; .*model.float\(\)"),
        ([nn.Linear(63, 10)], {}, ModelError, r"got samples of shape \(1, 8, 8\)"),
        ([nn.Sequential(nn.Flatten(), nn.Linear(64, 9))], {}, ModelError, "9 outputs"),
        ([nn.Flatten()], {}, ModelError, "no trainable parameter"),
        (["mlp"], {"metrics": {"mine": lambda o, y: 1.0}}, SpecError, "returns a float"),
        (["mlp"], {"metrics": {"loss": accuracy}}, SpecError, "a metric named 'loss'"),
        (["mlp"], {"metrics": accuracy}, SpecError, "got metrics=.*; expected a list"),
        (["mlp"], {"loss": 3}, SpecError, "got loss 3; expected the name of a loss"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(arguments, settings, kind, sentence):
    with pytest.raises(kind, match=sentence):
        train(*arguments, **settings)


def test_short_keys_lead_to_one_section_each():
    homes = short_keys()
    assert set(homes.values()) == {"optimizer", "schedule", "model", "loss"}
    assert "lr" not in homes
    assert "inner" not in homes
    assert homes["beta1"] == "optimizer"
    assert homes["pct_start"] == "schedule"
