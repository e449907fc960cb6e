"""What a report says of a sweep or a race before anything was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """What was run, and how to run it again.

    Args:
        kind: ``sweep`` or ``race``.
        name: Its name.
        tags: Words to find it by.
        created: When it began, in ISO 8601.
        state: ``running``, ``complete``, ``interrupted`` or ``killed``.
        data: What it was trained on, in words.
        spec_toml: What all members have in common.
        environment: What it ran on and with.
        commands: What can be done again or further, each with its command.
    """

    kind: str
    name: str
    tags: Sequence[str]
    created: str
    state: str
    data: str
    spec_toml: str
    environment: Mapping[str, str]
    commands: Sequence[tuple[str, str]]

    @property
    def stands(self) -> str:
        """How it stands, in words."""
        return STATES.get(self.state, self.state)


STATES = {
    "running": "Running: this page shows how far it had come.",
    "complete": "Complete: every member came to an end of its own.",
    "interrupted": "Interrupted: it was saved, and can go on.",
    "killed": "Killed: it ended without a word, and can go on from its last checkpoint.",
}
"""How a sweep or a race stands, by its state."""
