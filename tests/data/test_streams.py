from __future__ import annotations

import torch

from thalweg.data.streams import stream


def test_a_stream_repeats() -> None:
    first, second = (torch.rand(9, generator=stream(3, "split")) for _ in range(2))
    assert torch.equal(first, second)


def test_seeds_and_purposes_have_streams_of_their_own() -> None:
    draws = [
        torch.rand(9, generator=stream(seed, purpose))
        for seed in (0, 1, -1)
        for purpose in ("split", "labels", "pixels")
    ]
    assert len({tuple(draw.tolist()) for draw in draws}) == len(draws)


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    torch.rand(3, generator=stream(0, "split"))
    assert torch.equal(before, torch.get_rng_state())
