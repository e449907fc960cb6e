"""What is trained: models, layers, init, losses, and the stacking of K networks into one."""

from __future__ import annotations

from thalweg.nn.fit import check_fit
from thalweg.nn.init import INITS, Scheme, initialize
from thalweg.nn.layers import DropBlock2d, Residual
from thalweg.nn.loss import Loss
from thalweg.nn.losses import DEFAULT_LOSS, LOSSES, build_loss
from thalweg.nn.mlp import ACTIVATIONS, NORMS, OUTPUTS, mlp
from thalweg.nn.models import MODELS, Model, build, find_model
from thalweg.nn.onnx import export_onnx
from thalweg.nn.stacked import Stack, stack
from thalweg.nn.summary import summary
from thalweg.nn.weights import load_weights, save_weights

__all__ = [
    "ACTIVATIONS",
    "DEFAULT_LOSS",
    "INITS",
    "LOSSES",
    "MODELS",
    "NORMS",
    "OUTPUTS",
    "DropBlock2d",
    "Loss",
    "Model",
    "Residual",
    "Scheme",
    "Stack",
    "build",
    "build_loss",
    "check_fit",
    "export_onnx",
    "find_model",
    "initialize",
    "load_weights",
    "mlp",
    "save_weights",
    "stack",
    "summary",
]
