"""The ground that the optimizers move on: directions, surfaces, curvature."""

from thalweg.landscape.bending import hessian_directions
from thalweg.landscape.between import Barrier, barrier, between, interpolate
from thalweg.landscape.density import Density, density
from thalweg.landscape.directions import Directions, Projection, own
from thalweg.landscape.eigen import Eigenpairs, eigenpairs
from thalweg.landscape.grid import Surface, survey
from thalweg.landscape.ground import Ground
from thalweg.landscape.hessian import Hessian
from thalweg.landscape.keeping import load_surface, save_surface
from thalweg.landscape.noise import Noise, gradient_noise
from thalweg.landscape.objective import Objective
from thalweg.landscape.principal import principal_components, walk_null
from thalweg.landscape.random import random_directions
from thalweg.landscape.recorder import Reading, SharpnessRecorder
from thalweg.landscape.sharpness import Sharpness, ball_sharpness, box_sharpness
from thalweg.landscape.steps import gradient_direction, step_direction, step_plane
from thalweg.landscape.trace import Trace, trace
from thalweg.landscape.trail import Trail, trail

__all__ = [
    "Barrier",
    "Density",
    "Directions",
    "Eigenpairs",
    "Ground",
    "Hessian",
    "Noise",
    "Objective",
    "Projection",
    "Reading",
    "Sharpness",
    "SharpnessRecorder",
    "Surface",
    "Trace",
    "Trail",
    "ball_sharpness",
    "barrier",
    "between",
    "box_sharpness",
    "density",
    "eigenpairs",
    "gradient_direction",
    "gradient_noise",
    "hessian_directions",
    "interpolate",
    "load_surface",
    "own",
    "principal_components",
    "random_directions",
    "save_surface",
    "step_direction",
    "step_plane",
    "survey",
    "trace",
    "trail",
    "walk_null",
]
