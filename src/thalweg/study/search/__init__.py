"""Search: which settings are best; what to choose from, proposals, rungs, the record, the end."""
