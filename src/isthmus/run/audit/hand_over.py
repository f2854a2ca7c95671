"""Give an audit's record to a site, so that its pages stand beside the plant's.

    isthmus audit hand-over --plant plant.toml --into audit/

The site may be running or stopped; this is done on its machine, by somebody who may write its data. A
command that holds its history meanwhile, such as an import, is named and waited for. What it has already is
not given again, so this may be repeated after each import; decisions made on either side stand on both.
"""

from __future__ import annotations

import argparse
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

from isthmus.model.errors import IsthmusError
from isthmus.run.auditing.words import folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isthmus.model.records import Record
    from isthmus.run.auditing.store import AuditStore

_AT_ONCE: Final = 5_000
_LONGEST_S, _LOOK_S = 120.0, 0.2


def arguments(parser: argparse.ArgumentParser) -> None:
    """From where, and to which site."""
    folder(parser)
    parser.add_argument("--plant", type=Path, required=True, metavar="PLANT.TOML", help="the site's plant file")


def run(args: argparse.Namespace) -> int:
    """Append what the site lacks to its log."""
    from isthmus.plantfile import load  # noqa: PLC0415  heavy
    from isthmus.run.auditing.store import AuditStore  # noqa: PLC0415  heavy
    from isthmus.run.one_writer import open_store  # noqa: PLC0415  heavy

    plant = load(args.plant)
    data = plant.site.data
    with AuditStore(args.folder, make=False) as store:
        try:
            # The historian is open in one process alone: while we hold it, no site runs here.
            alone = open_store(data / "history", "isthmus audit hand-over", background=False)
            with alone or nullcontext():
                # Whatever was waited for may have been another one of these.
                fresh = _fresh(store, data, plant.plant.path)
                if alone is not None:
                    _append(data, fresh)
        except OSError as error:
            msg = f"{data}: {error}"
            raise IsthmusError(msg) from error
    if alone is None:
        _hand(data, fresh, args.plant)
    when = "now" if alone is None else "when it starts"
    print(f"{len(fresh):,} facts given to {plant.plant.name}; its pages show them {when}")
    return 0


def _fresh(store: AuditStore, data: Path, path: str) -> list[Record]:
    """What is new to the site's log, under the site's own path.

    The record and its findings stay behind: the site judges what was said by its own zones and conduits.
    """
    from isthmus.model.records.assets import AssetFinding, AssetKnown  # noqa: PLC0415  as above
    from isthmus.site.intake.handed import logged  # noqa: PLC0415  as above

    known = {(one.key, one.revision, one.gone) for one in logged(data)} if (data / "log").is_dir() else set()
    said = (one for _, one in store.log.read(0) if not isinstance(one, AssetKnown | AssetFinding))
    moved = (_at(one, store.settings.path, path) for one in said)
    return [one for one in moved if (one.key, one.revision, one.gone) not in known]


def _append(data: Path, fresh: Sequence[Record]) -> None:
    """Into the log of a site that stands still."""
    from isthmus.site.records.records_log import RecordsLog  # noqa: PLC0415  as above

    log = RecordsLog(data / "log")
    try:
        for begin in range(0, len(fresh), _AT_ONCE):
            log.append(fresh[begin : begin + _AT_ONCE])
    finally:
        log.close()


def _hand(data: Path, fresh: Sequence[Record], plant: Path) -> None:
    """To a site at work. Raises IsthmusError when it does not take it in time."""
    from isthmus.site.intake.handed import hand  # noqa: PLC0415  as above

    try:
        waiting = hand(data, fresh)
    except OSError as error:
        msg = f"the site of {plant} is running, and nothing can be handed to it: {error}"
        raise IsthmusError(msg) from error
    until = time.monotonic() + _LONGEST_S
    while any(path.exists() for path in waiting):
        if time.monotonic() > until:
            msg = f"the site of {plant} did not take all of {waiting[0].parent} within {_LONGEST_S:.0f} s; it does so later, "
            msg += "or says in its own log why it cannot"
            raise IsthmusError(msg)
        time.sleep(_LOOK_S)
    if aside := [path for path in waiting if path.with_suffix(".aside").exists()]:
        msg = f"the site of {plant} set {aside[0].with_suffix('.aside')} aside; its own log says why"
        raise IsthmusError(msg)


def _at(one: Record, mine: str, path: str) -> Record:
    """The fact under the site's own path."""
    if mine == path:
        return one
    kept = {name: getattr(one, name) for name in one.__struct_fields__}
    return type(one)(**{**kept, "path": path + one.path.removeprefix(mine)})
