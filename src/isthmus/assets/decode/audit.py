"""Hears a capture out: windows in, everything that was said on the wire out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from isthmus.assets.decode.capture import Window, windows
from isthmus.assets.decode.ear import Ear
from isthmus.assets.decode.ends import EndsHeard
from isthmus.assets.decode.heard import Heard

__all__ = ["hear", "hear_windows"]


def hear(path: Path, ends: EndsHeard | None = None) -> Heard:
    """All that a capture file says. Raises NoCapture when it is none, OSError when it cannot be read.

    `ends` is shown its packets as well.
    """
    told: list[str] = []
    return hear_windows(windows(path, told.append), told, ends)


def hear_windows(given: Iterable[Window], told: list[str] | None = None, ends: EndsHeard | None = None) -> Heard:
    """All that these windows say; `told` holds what their reader has to tell by the time they end."""
    ear = Ear()
    for window in given:
        ear.take(window)
        if ends is not None:
            ends.take(window)
    return ear.heard(told or [])
