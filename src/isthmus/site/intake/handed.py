"""What is handed to a running site on its own machine: files in a folder of its data, taken in order.

Whoever may write there may write the site's stores as well, so nothing is asked but that the files are
whole, and that facts say only what an asset audit says. A file is written under another name first, and is
on disk before it has its own, so that neither a half one nor an empty one is taken for a whole; it goes when
what it holds is on disk. What cannot be taken is set aside, with a file that says why beside it.

    <data>/handed/00000001763820000000-000.frames     frames of records, docs/formats/frame.md
    what is for history                               handed_history.py

What people say is taken at once. Of a past that is brought along, one piece is taken at a time, and the
site rests three times as long as it took, so that whatever is live goes first.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from isthmus.model.errors import DatabaseAway, StoreDamaged
from isthmus.model.rarely import Rarely
from isthmus.model.records import Record
from isthmus.site.historian.sealed.parquet import write_whole
from isthmus.site.intake import handed_history
from isthmus.site.intake.handed_history import NotTaken, Told, whole
from isthmus.site.records.records_log import chained
from isthmus.site.site import Site
from isthmus.wire import frame as frames
from isthmus.wire.frame import FrameKind
from isthmus.wire.segment import SegmentLog

FOLDER: Final = "handed"
WHY: Final = ".why"
"""Ending of the file that says why what was handed is set aside."""
_EMITTERS: Final = ("audit/", "assets/", "web/assets", "edge/")
_IN_A_FILE: Final = 5_000
_REST: Final = 3
"""How many times as long as a piece took the site rests after it."""
_LOOK_S, _SOON_S = 0.25, 0.05
_BUSY_S: Final = 5.0
"""How long after the last piece the next one is looked for soon."""
_log: Final = logging.getLogger(__name__)


def hand(data: Path, records: Sequence[Record]) -> list[Path]:
    """Leave these facts for the site whose data this is; the files that go when it has them."""
    folder = data / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    now, out = time.time_ns(), []
    for number, begin in enumerate(range(0, len(records), _IN_A_FILE)):
        path = folder / f"{now:020}-{number:04}.frames"
        write_whole(path, frames.pack(frames.of_records(0, now, number + 1, records[begin : begin + _IN_A_FILE])))
        out.append(path)
    return out


def run(site: Site, told: Told, stop: threading.Event) -> None:
    """Take what is handed over until told to stop. `told` is called with samples of the past when they are on disk."""
    rarely, busy_until = Rarely(), 0.0
    while not stop.is_set():
        began = time.monotonic()
        try:
            take(site)
            some = take_history(site, told)
        except (OSError, sqlite3.OperationalError, DatabaseAway) as error:
            if (times := rarely.due("handed", began)) is not None:
                _log.error("what was handed over waits: %s (%d times so far)", error, times)
            stop.wait(1)
            continue
        now = time.monotonic()
        busy_until = now + _BUSY_S if some else busy_until
        stop.wait(_REST * (now - began) if some else _SOON_S if now < busy_until else _LOOK_S)


def take_history(site: Site, told: Told) -> bool:
    """Take in the next file for history, or set it aside with the reason; False when there is none."""
    try:
        return handed_history.take_one(site, site.folder / FOLDER, told)
    except NotTaken as error:
        _log.error("%s", error)
        error.path.with_suffix(WHY).write_text(error.why, encoding="utf-8")
        error.path.replace(error.path.with_suffix(".aside"))
        return True


def take(site: Site) -> int:
    """Log what was handed to the site; how many facts. Raises OSError (disk full) with the rest still there.

    They are seen in the views when this returns. They are no news of a machine, so nothing live is told of them.
    """
    taken = 0
    for path in sorted((site.folder / FOLDER).glob("*.frames")):
        try:
            records = list(_read(path))
        except (StoreDamaged, EOFError, ValueError) as error:
            _log.error("%s is set aside: %s", path, error)
            path.replace(path.with_suffix(".aside"))
            continue
        site.log.append(records)
        site.catch_up()
        path.unlink()
        taken += len(records)
    return taken


def _read(path: Path) -> Iterator[Record]:
    """The facts of a file. Raises StoreDamaged, and ValueError for what no audit says."""
    for frame in whole(path):
        for record in frames.records(frame):
            if not record.emitter.startswith(_EMITTERS):
                msg = f"an audit may not say {type(record).__name__}"
                raise ValueError(msg)
            yield record


def logged(data: Path) -> Iterator[Record]:
    """All that stands in a site's log, which may be running: nothing of it is touched."""
    for _, frame in SegmentLog(data / "log", write=False).read(0):
        if frame.kind is FrameKind.CHAINED:
            yield from chained(frame)
