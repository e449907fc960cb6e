"""Races: contestants tuned alike, run on fresh seeds, compared in pairs."""
