"""Answers the questions of model.query from a view."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.model.query import Last, Operator, Raw
from isthmus.site.historian.rows import concat, to_table
from isthmus.site.historian.view import View


class Engine:
    """Any thread may ask."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def close(self) -> None:
        """Let go of what it holds."""

    def query(self, view: View, operator: Operator, tags: NDArray[np.int32], start_ns: int, end_ns: int) -> pa.Table:
        """The answer to one question; `tags` are in order, each once."""
        if isinstance(operator, Last):
            return to_table(view.before(tags, end_ns))
        if isinstance(operator, Raw):
            before = [view.before(tags, start_ns)] if operator.before else []
            rows = view.rows(tags, start_ns, end_ns)
            return to_table(concat([*before, rows]))
        raise NotImplementedError
