"""The ground that the optimizers move on: directions, surfaces, curvature."""

from thalweg.landscape.ground import Ground

__all__ = ["Ground"]
