"""Which learning rate: a range test, then forks halved on held-out loss."""
