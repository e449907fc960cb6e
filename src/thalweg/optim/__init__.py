"""How parameters move: update rules, their torch.optim faces, and schedules.

A rule (``AdamRule``, ...) moves the parameters of K networks, held in one tensor (K, P); thalweg's
engine calls :func:`apply` with one made by :func:`build`. The same rule under its plain name
(``Adam``, ...) is a ``torch.optim.Optimizer`` for anybody's own loop, and what goes around a rule
(``EMARule``, ...) goes around that under its plain name (``EMA``, ...).

Example:
    >>> import torch
    >>> net = torch.nn.Linear(2, 1)
    >>> opt = Lookahead(MADGRAD(net.parameters(), lr=1e-2))
    >>> net(torch.ones(1, 2)).sum().backward()
    >>> opt.step()

    They compose, the inmost first. Those that take several gradients a step, SAM and SVRG, are
    given the closure that PyTorch knows; SVRG also one over the whole training set, for its
    snapshots. Evaluation is with the averaged weights where there are such, after an estimate of
    BatchNorm's statistics for them (``torch.optim.swa_utils.update_bn``):

    >>> opt = EMA(SAM(SGD(net.parameters(), lr=1e-2)), ema_decay=0.99, skip_nonfinite=True)
    >>> def closure():
    ...     opt.zero_grad()
    ...     loss = net(torch.ones(1, 2)).pow(2).sum()
    ...     loss.backward()
    ...     return loss
    >>> loss = opt.step(closure)
    >>> with opt.evaluation_weights():
    ...     loss = net(torch.ones(1, 2)).pow(2).sum()
    >>> opt.skipped_steps
    0
"""

from __future__ import annotations

from thalweg.optim.adadelta import AdaDeltaRule
from thalweg.optim.adagrad import AdaGradRule
from thalweg.optim.adam import AdamRule
from thalweg.optim.adamax import AdamaxRule
from thalweg.optim.adamw import AdamWRule
from thalweg.optim.ademamix import AdEMAMixRule
from thalweg.optim.adopt import ADOPTRule
from thalweg.optim.amsgrad import AMSGradRule
from thalweg.optim.apply import apply, initial_state, member_norm, revise
from thalweg.optim.averages import EMARule, PolyakRule, SWARule
from thalweg.optim.centralize import CentralizeRule
from thalweg.optim.decay import DecayRule, ProximalRule
from thalweg.optim.lars import LARSRule
from thalweg.optim.lion import LionRule
from thalweg.optim.lookahead import LookaheadRule
from thalweg.optim.madgrad import MADGRADRule
from thalweg.optim.momentum import MomentumRule
from thalweg.optim.muon import MuonRule
from thalweg.optim.nadam import NAdamRule
from thalweg.optim.nesterov import NesterovRule
from thalweg.optim.options import Interval, Option
from thalweg.optim.plateau import Plateau, PlateauTracker
from thalweg.optim.prodigy import ProdigyRule
from thalweg.optim.radam import RAdamRule
from thalweg.optim.registry import build, hyperparameters, register, rules, wrappers
from thalweg.optim.rmsprop import RMSPropRule
from thalweg.optim.rmsprop_text import RMSPropTextRule
from thalweg.optim.rmsprop_tf import RMSPropTFRule
from thalweg.optim.rule import Gradients, Hyper, Hyperparameter, Rule, State
from thalweg.optim.sam import SAMRule
from thalweg.optim.schedule_free import ScheduleFreeAdamWRule, ScheduleFreeSGDRule
from thalweg.optim.schedules import (
    Schedule,
    build_schedule,
    in_force,
    schedule_options,
    schedules,
)
from thalweg.optim.sgd import SGDRule
from thalweg.optim.shapes import Shape, register_schedule
from thalweg.optim.soap import SOAPRule
from thalweg.optim.svrg import SVRGRule
from thalweg.optim.swats import SWATSRule
from thalweg.optim.torch_face import RevisingOptimizer, RuleOptimizer, torch_optimizer
from thalweg.optim.torch_lookahead import Lookahead
from thalweg.optim.torch_wrap import TorchWrapper, torch_wrapper
from thalweg.optim.wrapper import Wrapper

AdaDelta = torch_optimizer(AdaDeltaRule)
AdaGrad = torch_optimizer(AdaGradRule)
Adam = torch_optimizer(AdamRule)
Adamax = torch_optimizer(AdamaxRule)
AdamW = torch_optimizer(AdamWRule)
AdEMAMix = torch_optimizer(AdEMAMixRule)
ADOPT = torch_optimizer(ADOPTRule)
AMSGrad = torch_optimizer(AMSGradRule)
LARS = torch_optimizer(LARSRule)
Lion = torch_optimizer(LionRule)
MADGRAD = torch_optimizer(MADGRADRule)
Momentum = torch_optimizer(MomentumRule)
Muon = torch_optimizer(MuonRule)
NAdam = torch_optimizer(NAdamRule)
Nesterov = torch_optimizer(NesterovRule)
RAdam = torch_optimizer(RAdamRule)
RMSProp = torch_optimizer(RMSPropRule)
RMSPropText = torch_optimizer(RMSPropTextRule)
RMSPropTF = torch_optimizer(RMSPropTFRule)
SGD = torch_optimizer(SGDRule)

Centralize = torch_wrapper(CentralizeRule)
Decay = torch_wrapper(DecayRule)
EMA = torch_wrapper(EMARule)
Polyak = torch_wrapper(PolyakRule)
Proximal = torch_wrapper(ProximalRule)
SAM = torch_wrapper(SAMRule)
SVRG = torch_wrapper(SVRGRule)
SWA = torch_wrapper(SWARule)

__all__ = [
    "ADOPT",
    "EMA",
    "LARS",
    "MADGRAD",
    "SAM",
    "SGD",
    "SVRG",
    "SWA",
    "ADOPTRule",
    "AMSGrad",
    "AMSGradRule",
    "AdEMAMix",
    "AdEMAMixRule",
    "AdaDelta",
    "AdaDeltaRule",
    "AdaGrad",
    "AdaGradRule",
    "Adam",
    "AdamRule",
    "AdamW",
    "AdamWRule",
    "Adamax",
    "AdamaxRule",
    "Centralize",
    "CentralizeRule",
    "Decay",
    "DecayRule",
    "EMARule",
    "Gradients",
    "Hyper",
    "Hyperparameter",
    "Interval",
    "LARSRule",
    "Lion",
    "LionRule",
    "Lookahead",
    "LookaheadRule",
    "MADGRADRule",
    "Momentum",
    "MomentumRule",
    "Muon",
    "MuonRule",
    "NAdam",
    "NAdamRule",
    "Nesterov",
    "NesterovRule",
    "Option",
    "Plateau",
    "PlateauTracker",
    "Polyak",
    "PolyakRule",
    "ProdigyRule",
    "Proximal",
    "ProximalRule",
    "RAdam",
    "RAdamRule",
    "RMSProp",
    "RMSPropRule",
    "RMSPropTF",
    "RMSPropTFRule",
    "RMSPropText",
    "RMSPropTextRule",
    "RevisingOptimizer",
    "Rule",
    "RuleOptimizer",
    "SAMRule",
    "SGDRule",
    "SOAPRule",
    "SVRGRule",
    "SWARule",
    "SWATSRule",
    "Schedule",
    "ScheduleFreeAdamWRule",
    "ScheduleFreeSGDRule",
    "Shape",
    "State",
    "TorchWrapper",
    "Wrapper",
    "apply",
    "build",
    "build_schedule",
    "hyperparameters",
    "in_force",
    "initial_state",
    "member_norm",
    "register",
    "register_schedule",
    "revise",
    "rules",
    "schedule_options",
    "schedules",
    "torch_optimizer",
    "torch_wrapper",
    "wrappers",
]
