"""Opens the conduit again: a local act of two named people, never of the site."""

from __future__ import annotations

import time
from pathlib import Path

from isthmus.edge import gate
from isthmus.edge.gate import Latch
from isthmus.model.errors import UsageError
from isthmus.model.records.edge import ConduitReopened


def reopen(folder: Path, first: str, second: str, reason: str) -> None:
    """Open the gate in `folder`. Raises UsageError unless two different people are named."""
    first, second = first.strip(), second.strip()
    if not first or not second or first.casefold() == second.casefold():
        msg = "a conduit is opened by two different people; name both: --by 'A. Smith' --by 'B. Jones'"
        raise UsageError(msg)
    before = gate.read(folder)
    if not before.closed:
        msg = "the conduit is open already"
        raise UsageError(msg)
    since_ns = max(time.time_ns(), before.since_ns + 1)
    by = f"{first} and {second}"
    gate.write(folder, Latch(by=by, reason=reason, since_ns=since_ns, opened_by=(first, second)))


def record(path: str, latch: Latch) -> ConduitReopened:
    """What the log is told of an opening. A latch that was moved by hand names nobody, and says so."""
    return ConduitReopened(
        path=path,
        time_ns=latch.since_ns or time.time_ns(),
        by=latch.opened_by or ("unknown: gate.json was changed by hand", ""),
        reason=latch.reason,
    )
