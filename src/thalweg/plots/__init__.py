"""Pictures: plain arrays in, a Plotly figure out."""

from thalweg.plots.samples import sample_grid

__all__ = ["sample_grid"]
