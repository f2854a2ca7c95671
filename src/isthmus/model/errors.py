"""The tree of failures. Each message names a path, a cause and the next step.

    IsthmusError
    |-- PlantFileError    the plant file is wrong; a person must mend it, nothing is retried
    |-- UsageError        a command was called with something it cannot take
    |-- DeviceAway        a device or server cannot be reached now; the runner waits and tries again
    |   `-- DeviceRefuses it answers, and says no (password, certificate); tried again slowly, a person is told
    |       `-- NotApproved it shows a certificate that nobody has approved yet
    |-- ErpAway           the business system cannot be reached now; the outbox waits
    |   `-- ErpRefuses    it answers, and says no; the item is parked for a person
    |-- BusAway           the plant's bus cannot be reached now; what is to be published waits on disk
    |   `-- BusUnfit      it answers, and may lose what it acknowledges; nothing is published until that is mended
    |-- DatabaseAway      the database of records and people cannot be reached now; the log goes on, tables catch up
    |-- FoldsDisagree     two folds emit one kind, or read each other in a ring; the code must be mended
    `-- StoreDamaged      bytes on disk are not what was written; they are set aside, never skipped silently

Anything else that escapes is a bug.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec


class IsthmusError(Exception):
    """A failure that a person or a runner can act on."""


class Mistake(msgspec.Struct, frozen=True):
    """One thing that is wrong in a file, where it stands and how to mend it.

    `line` counts from 1; 0 means that the file as a whole is meant.
    """

    file: Path
    line: int
    what: str
    mend: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else f"{self.file}"
        return f"{place}: {self.what}" + (f"\n    {self.mend}" if self.mend else "")


class PlantFileError(IsthmusError):
    """The plant file is wrong. Carries every mistake at once, in the order of the file."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


class UsageError(IsthmusError):
    """A command was given something it cannot take; the message says what to give instead."""


class DeviceAway(IsthmusError):
    """A device or server cannot be reached now. The runner waits and calls again."""


class DeviceRefuses(DeviceAway):
    """A device answers and says no: wrong password, untrusted certificate, no such endpoint."""


class NotApproved(DeviceRefuses):
    """A device shows a certificate that nobody has approved. A person compares it and writes it into the file."""

    def __init__(self, message: str, field: str, shown: str) -> None:
        self.field, self.shown = field, shown
        """The field of the source that approves it, and the fingerprint as people compare it."""
        super().__init__(message)


class ErpAway(IsthmusError):
    """The business system cannot be reached, or did not answer in time."""


class ErpRefuses(ErpAway):
    """The business system understood and said no. Never retried by itself."""


class BusAway(IsthmusError):
    """The plant's bus cannot be reached now, or did not answer in time. The publisher waits and tries again."""


class BusUnfit(BusAway):
    """A bus answers, and is too old, syncs when it likes, or keeps too few copies. A person must mend it."""


class DatabaseAway(IsthmusError):
    """The database of records and people cannot be reached now. Nothing is lost: its tables are made from the log."""


class FoldsDisagree(IsthmusError):
    """Two folds emit one record kind, or folds read each other in a ring. The site does not start."""


class StoreDamaged(IsthmusError):
    """Bytes on disk are not what was written there. Carries the file and the offset in its message."""
