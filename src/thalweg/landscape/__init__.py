"""The ground that the optimizers move on: directions, surfaces, curvature."""

from thalweg.landscape.between import Barrier, barrier, between, interpolate
from thalweg.landscape.directions import Directions, Projection, own
from thalweg.landscape.grid import Surface, survey
from thalweg.landscape.ground import Ground
from thalweg.landscape.keeping import load_surface, save_surface
from thalweg.landscape.principal import principal_components, walk_null
from thalweg.landscape.random import random_directions
from thalweg.landscape.steps import gradient_direction, step_direction, step_plane
from thalweg.landscape.trail import Trail, trail

__all__ = [
    "Barrier",
    "Directions",
    "Ground",
    "Projection",
    "Surface",
    "Trail",
    "barrier",
    "between",
    "gradient_direction",
    "interpolate",
    "load_surface",
    "own",
    "principal_components",
    "random_directions",
    "save_surface",
    "step_direction",
    "step_plane",
    "survey",
    "trail",
    "walk_null",
]
