"""How long a site's log of records takes to open, by its age: 100,000 and 1,000,000 frames of one record each.

The control opens the same log without the place that is kept beside it, which reads it from its first day.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from isthmus.model.records.production import StateChanged
from isthmus.model.states import State
from isthmus.model.time import NS_PER_S
from isthmus.site.records.records_log import RecordsLog, _Entry

SHORT, LONG = 100_000, 1_000_000
AT_ONCE = 5_000


def filled(folder: Path, frames: int) -> None:
    """A log as it grows by one record at a time; many share a flush here, or writing it would take an hour."""
    log = RecordsLog(folder)
    for first in range(0, frames, AT_ONCE):
        facts = (
            StateChanged(path=f"acme/northgate/a/b/m{number % 17}", time_ns=number * NS_PER_S, state=State.RUN)
            for number in range(first, first + AT_ONCE)
        )
        log._write([_Entry([fact], None) for fact in facts])  # noqa: SLF001  as many writers at once would
    log.close()


def opened_s(folder: Path) -> float:
    """Seconds to open it, the best of three."""
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        log = RecordsLog(folder)
        best = min(best, time.perf_counter() - began)
        log.close()
    return best


def main() -> None:
    """Both ages, and the control for each."""
    figures: dict[str, float] = {}
    control: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        for frames in (SHORT, LONG):
            folder = Path(place) / str(frames)
            filled(folder, frames)
            figures[f"open_{frames}_frames_s"] = round(opened_s(folder), 3)
            (folder / "place").unlink()
            began = time.perf_counter()
            log = RecordsLog(folder)
            control[f"open_{frames}_frames_s"] = round(time.perf_counter() - began, 3)
            log.close()
    ratio = {name: round(control[name] / figures[name], 1) for name in figures}
    print(json.dumps({"bench": "start", "figures": figures, "control": control, "ratio": ratio}))


if __name__ == "__main__":
    main()
