"""The handwritten digits that scikit-learn ships, read without it: its import takes a second."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_FILE = Path("datasets", "data", "digits.csv.gz")


def read_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Read the 1,797 digits of scikit-learn, the test set of Alpaydin and Kaynak (1998).

    Its file is read if it is where it has always been; else scikit-learn is asked.

    Returns:
        The images, (1797, 8, 8) from 0 to 16, and their digits, (1797,).

    Example:
        >>> images, labels = read_digits()
        >>> images.shape, labels[:5].tolist()
        ((1797, 8, 8), [0, 1, 2, 3, 4])
    """
    package = find_spec("sklearn")
    folders = list(package.submodule_search_locations or ()) if package else []
    for file in (Path(folder) / _FILE for folder in folders):
        if file.is_file():
            table = np.loadtxt(file, delimiter=",")
            return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.images, found.target
