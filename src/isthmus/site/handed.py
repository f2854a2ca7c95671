"""Facts handed to a running site on its own machine: files in a folder of its data, taken in order.

Whoever may write there may write the site's log as well, so nothing is asked but that the files are
whole and say only what an asset audit says. A file is written under another name first, so that a
half one is never taken; it goes when its facts are in the log. What cannot be taken is set aside.

    <data>/handed/00000001763820000000-000.frames     frames of records, docs/formats/frame.md
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from isthmus.model.errors import StoreDamaged
from isthmus.model.records import Record
from isthmus.site.records_log import chained
from isthmus.site.site import Site
from isthmus.wire import frame as frames
from isthmus.wire.frame import FrameKind
from isthmus.wire.segment import SegmentLog

FOLDER: Final = "handed"
_EMITTERS: Final = ("audit/", "assets/", "web/assets", "edge/")
_IN_A_FILE: Final = 5_000
_log: Final = logging.getLogger(__name__)


def hand(data: Path, records: Sequence[Record]) -> list[Path]:
    """Leave these facts for the site whose data this is; the files that go when it has them."""
    folder = data / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    now, out = time.time_ns(), []
    for number, begin in enumerate(range(0, len(records), _IN_A_FILE)):
        path = folder / f"{now:020}-{number:04}.frames"
        waiting = path.with_suffix(".new")
        waiting.write_bytes(frames.pack(frames.of_records(0, now, number + 1, records[begin : begin + _IN_A_FILE])))
        waiting.replace(path)
        out.append(path)
    return out


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
    """The facts of a file. Raises ValueError for what no audit says."""
    for frame in frames.unpack_all(path.read_bytes()):
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
