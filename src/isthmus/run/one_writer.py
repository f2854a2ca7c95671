"""History has one writer: a command that wants to write waits for another command, and leaves it to a site.

Whoever holds history says so in its lock (site/historian/sealed/leases.py). A site holds it for as long as it
runs, so it is handed what shall be written (hand_history.py); a command is over some time, so it is
waited for, with a word about whom and since when.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

from isthmus.model.errors import IsthmusError
from isthmus.site.historian.sealed.leases import SITE, Held, Holder
from isthmus.site.historian.store import Store

LONGEST_S: Final = 600.0
"""How long another command is waited for at most."""
_SAY_S: Final = 60.0
_LOOK_S: Final = 0.2
_UNKNOWN_S: Final = 1.0
"""A holder that has not said yet who it is gets this long; an older Isthmus never says, and was a site as a rule."""


def open_store(folder: Path, what: str, *, background: bool) -> Store | None:
    """The store, opened as `what`; None where a site has it. Raises IsthmusError when a command is not done in time."""
    began = said = time.monotonic()
    told: Holder | None = None
    while True:
        try:
            return Store(folder, told=lambda told: print(told.what), background=background, what=what)
        except Held as error:
            holder, waited = error.holder, time.monotonic() - began
        if holder is None and waited < _UNKNOWN_S:
            time.sleep(_LOOK_S)
            continue
        if holder is None or holder.what == SITE:
            return None
        if waited > LONGEST_S:
            msg = (
                f"{folder} was being written by {holder} for all of {LONGEST_S:.0f} s; nothing was done here. Give the same "
                f"command again when that is over, or stop it first (kill {holder.process}): it goes on where it was"
            )
            raise IsthmusError(msg)
        if holder != told or time.monotonic() - said > _SAY_S:
            still = "still " if holder == told else ""
            print(
                f"{folder} is {still}being written by {holder}; this goes on by itself when that is done, and waits "
                f"{LONGEST_S - waited:.0f} s at most",
                file=sys.stderr,
                flush=True,
            )
            told, said = holder, time.monotonic()
        time.sleep(_LOOK_S)
