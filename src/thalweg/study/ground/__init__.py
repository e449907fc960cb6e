"""The ground under runs: landscapes, slices, curvature, and who goes over it."""
