"""Stacked layers: K networks of one architecture, forward and backward by hand."""

from thalweg.nn.stacked.stack import Stack, stack

__all__ = ["Stack", "stack"]
