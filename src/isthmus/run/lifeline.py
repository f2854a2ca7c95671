"""A process that another one keeps running ends with it, also when that one is killed and can tell nobody.

The one that keeps it says so in the environment; the one that is kept asks the system for SIGTERM at
the other's end. Only Linux has this; elsewhere the process goes on by itself.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from typing import Final

_NAME: Final = "ISTHMUS_KEPT_BY"
_PR_SET_PDEATHSIG: Final = 1


def tied(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that shall end with this one. To be started from the main thread."""
    return {**environment, _NAME: str(os.getpid())}


def end_with_keeper() -> None:
    """End when the process that started this one ends, if it asked for that; at once when it is gone already."""
    keeper = os.environ.pop(_NAME, "")
    if not keeper or sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415  few processes need it

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if str(os.getppid()) != keeper:
        os.kill(os.getpid(), signal.SIGTERM)
