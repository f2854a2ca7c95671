"""What the service keeps is its user's alone: stores, logs, keys, and links by which one logs in."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def keep_private(*folders: Path) -> None:
    """From now on this process makes nothing that another user can read; its own `folders` are closed to others.

    A folder that was made by an earlier version, or by hand, may stand open. One that other users write to
    as well (a sticky one, such as /tmp), or that is somebody else's, is left as it is.
    """
    os.umask(_OTHERS)
    for folder in folders:
        with suppress(OSError):
            found = folder.stat()
            ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & stat.S_ISVTX
            if ours and found.st_mode & _OTHERS:
                folder.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
