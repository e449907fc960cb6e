"""Series of runs: grids of specs, trained in groups, recorded, here or elsewhere."""
