"""``--on``: who does the work."""

from __future__ import annotations

from typing import Any


def add_on(group: Any, does: str = "trains") -> None:
    """Add the option to a parser or a group of its options.

    Args:
        group: What it is added to.
        does: What is done, in a word.
    """
    group.add_argument(
        "--on", metavar="WHERE", default="here",
        help=f"who {does}: here; processes:N on this machine; ray, the cluster that Ray finds; or "
        "ray://HOST:PORT (here)",
    )  # fmt: skip
