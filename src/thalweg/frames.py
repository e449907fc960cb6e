"""Tables for pandas, which nothing else needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from thalweg.errors import ThalwegError

if TYPE_CHECKING:
    import pandas as pd


def to_frame(columns: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return columns by their names, or rows, as a DataFrame.

    Raises:
        ThalwegError: pandas is not installed.

    Example:
        >>> to_frame({"lr": [0.1, 1.0]}).shape, to_frame([{"lr": 0.1}]).shape
        ((2, 1), (1, 1))
    """
    try:
        import pandas as pd
    except ImportError:
        raise ThalwegError("no pandas", "pandas", "pip install pandas") from None
    return pd.DataFrame(columns)
