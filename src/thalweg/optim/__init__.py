"""How parameters move: update rules, their torch.optim faces, and schedules.

A rule (``AdamRule``, ...) moves the parameters of K networks, held in one tensor (K, P); thalweg's
engine calls :func:`apply` with one made by :func:`build`. The same rule under its plain name
(``Adam``, ...) is a ``torch.optim.Optimizer`` for anybody's own loop.

Example:
    >>> import torch
    >>> net = torch.nn.Linear(2, 1)
    >>> opt = Lookahead(MADGRAD(net.parameters(), lr=1e-2))
    >>> net(torch.ones(1, 2)).sum().backward()
    >>> opt.step()
"""

from __future__ import annotations

from thalweg.optim.adam import AdamRule
from thalweg.optim.adamw import AdamWRule
from thalweg.optim.apply import apply
from thalweg.optim.lookahead import LookaheadRule
from thalweg.optim.madgrad import MADGRADRule
from thalweg.optim.options import Interval, Option
from thalweg.optim.registry import build, hyperparameters, register, rules
from thalweg.optim.rule import Hyper, Hyperparameter, Rule, State
from thalweg.optim.schedules import (
    Schedule,
    Shape,
    build_schedule,
    in_force,
    register_schedule,
    schedule_options,
    schedules,
)
from thalweg.optim.sgd import SGDRule
from thalweg.optim.torch_face import RuleOptimizer, torch_optimizer
from thalweg.optim.torch_lookahead import Lookahead

SGD = torch_optimizer(SGDRule)
Adam = torch_optimizer(AdamRule)
AdamW = torch_optimizer(AdamWRule)
MADGRAD = torch_optimizer(MADGRADRule)

__all__ = [
    "MADGRAD",
    "SGD",
    "Adam",
    "AdamRule",
    "AdamW",
    "AdamWRule",
    "Hyper",
    "Hyperparameter",
    "Interval",
    "Lookahead",
    "LookaheadRule",
    "MADGRADRule",
    "Option",
    "Rule",
    "RuleOptimizer",
    "SGDRule",
    "Schedule",
    "Shape",
    "State",
    "apply",
    "build",
    "build_schedule",
    "hyperparameters",
    "in_force",
    "register",
    "register_schedule",
    "rules",
    "schedule_options",
    "schedules",
    "torch_optimizer",
]
