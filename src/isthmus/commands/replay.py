"""Fold a stretch of the past again under another plant file, and say which indicators would differ.

Reads the site's history and log, also while the site runs, and writes nothing.

    isthmus replay plant.toml --from 2026-03-01 --to 2026-04-01 --as policy-2027.toml
"""

from __future__ import annotations

import argparse
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.model.errors import UsageError
from isthmus.model.time import from_datetime, to_datetime

if TYPE_CHECKING:
    from isthmus.model.records.production import Indicator
    from isthmus.plantfile import PlantFile
    from isthmus.site.folding.replay import Difference

_RATIOS = ("availability", "effectiveness", "quality", "oee")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("file", nargs="?", type=Path, default=Path("plant.toml"), help="the plant file (plant.toml)")
    parser.add_argument("--from", dest="start", required=True, metavar="TIME", help="first day or moment, plant time")
    parser.add_argument("--to", dest="end", required=True, metavar="TIME", help="the day or moment at which it ends")
    parser.add_argument("--as", dest="other", type=Path, metavar="FILE", help="the plant file to fold by (the same)")
    parser.add_argument("--machine", metavar="PATH", help="one machine alone, by the end of its path")


def run(args: argparse.Namespace) -> int:
    """0 when it was folded, whether anything would differ or not."""
    from isthmus.plantfile import load  # noqa: PLC0415  loads every room's sections
    from isthmus.site.historian.reader import Reader  # noqa: F401, PLC0415  DuckDB, before the first line is printed

    file = load(args.file)
    other = load(args.other) if args.other else file
    start, end = (_moment(text, file.plant.zone) for text in (args.start, args.end))
    if start >= end:
        msg = f"--from {args.start} does not lie before --to {args.end}"
        raise UsageError(msg)
    if not file.site.database and not (file.site.data / "views.sqlite").exists():
        msg = f"there is no site's data in {file.site.data}; run this where the site runs"
        raise UsageError(msg)
    chosen = [path for path in other.plant.machines if args.machine is None or path.endswith(args.machine)]
    if not chosen:
        msg = f"no machine's path ends with {args.machine}; there are {', '.join(other.plant.machines)}"
        raise UsageError(msg)
    print(f"as {other.plant.kpi.name} · {other.plant.kpi.version}")
    found = sum(_one(file, other, path, start, end) for path in chosen)
    print(f"{found} indicator{'s' * (found > 1)} would differ" if found else "nothing would differ")
    return 0


def _one(file: PlantFile, other: PlantFile, path: str, start_ns: int, end_ns: int) -> int:
    from isthmus.model.records.production import Indicator  # noqa: PLC0415  as above
    from isthmus.run.database import database_of  # noqa: PLC0415  as above
    from isthmus.run.wings import folds_of  # noqa: PLC0415  as above
    from isthmus.site.folding.replay import replay  # noqa: PLC0415  as above
    from isthmus.site.folding.unit import Unit  # noqa: PLC0415  as above

    machine = other.plant.machines[path]
    unit = Unit(other.plant, machine, folds_of(other.plant, machine))
    found = 0
    database = database_of(file)
    for difference in replay(file.site.data, unit, (Indicator,), start_ns, end_ns, database=database):
        print(_line(path, difference, file.plant.zone))
        found += 1
    if database is not None:
        database.close()
    return found


def _line(path: str, difference: Difference, zone: tzinfo) -> str:
    now, then = difference
    either: Indicator = now or then  # type: ignore[assignment]
    ended = to_datetime(either.time_ns, zone).strftime("%Y-%m-%d %H:%M")
    changes = ", ".join(
        f"{name} {_share(now, name)} -> {_share(then, name)}"
        for name in _RATIOS
        if _share(now, name) != _share(then, name)
    )
    return f"{path}  {either.window} {either.name} to {ended}: {changes or 'times or pieces differ, no ratio does'}"


def _share(indicator: object, name: str) -> str:
    if indicator is None:
        return "none"
    value: float | None = getattr(indicator, name)
    return "unknown" if value is None else f"{100 * value:.1f} %"


def _moment(text: str, zone: tzinfo) -> int:
    """A day or a moment; without an offset it is the plant's wall time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        msg = f"{text!r} is no day or moment; write 2026-03-01 or 2026-03-01T06:00"
        raise UsageError(msg) from error
    return from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=zone))
