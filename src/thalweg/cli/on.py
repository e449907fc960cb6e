"""``--on``: who does the work."""

from __future__ import annotations

from typing import Any


def add_on(group: Any) -> None:
    """Add the option to a parser or a group of its options."""
    group.add_argument(
        "--on", metavar="WHERE", default="here",
        help="who trains: here; processes:N on this machine; ray, the cluster that Ray finds; or "
        "ray://HOST:PORT (here)",
    )  # fmt: skip
