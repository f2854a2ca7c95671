"""Give an audit's record to a site, so that its pages stand beside the plant's.

    isthmus audit hand-over --plant plant.toml --into audit/

The site must be stopped meanwhile. What it has already is not given again, so this may be repeated
after each import; decisions made on either side stand on both.
"""

from __future__ import annotations

import argparse
import errno
from pathlib import Path
from typing import TYPE_CHECKING, Final

from isthmus.model.errors import IsthmusError, UsageError
from isthmus.run.audit_words import folder

if TYPE_CHECKING:
    from isthmus.model.records import Record
    from isthmus.run.audit_store import AuditStore
    from isthmus.site.records_log import RecordsLog

_AT_ONCE: Final = 5_000


def arguments(parser: argparse.ArgumentParser) -> None:
    """From where, and to which site."""
    folder(parser)
    parser.add_argument("--plant", type=Path, required=True, metavar="PLANT.TOML", help="the site's plant file")


def run(args: argparse.Namespace) -> int:
    """Append what the site lacks to its log."""
    from isthmus.plantfile import load  # noqa: PLC0415  heavy
    from isthmus.run.audit_store import AuditStore  # noqa: PLC0415  heavy
    from isthmus.site.historian.store import Store  # noqa: PLC0415  heavy
    from isthmus.site.records_log import RecordsLog  # noqa: PLC0415  heavy

    plant = load(args.plant)
    data = plant.site.data
    with AuditStore(args.folder, make=False) as store:
        try:
            # The historian is open in one process alone: while we hold it, no site runs here.
            with Store(data / "history", background=False):
                log = RecordsLog(data / "log")
                try:
                    given = _give(store, log, plant.plant.path)
                finally:
                    log.close()
        except OSError as error:
            if error.errno == errno.EBUSY:
                msg = f"the site of {args.plant} is running; stop it, hand over, and start it again"
                raise UsageError(msg) from error
            msg = f"{data}: {error}"
            raise IsthmusError(msg) from error
    print(f"{given:,} facts given to {plant.plant.name}; its pages show them when it starts")
    return 0


def _give(store: AuditStore, log: RecordsLog, path: str) -> int:
    """How many facts were new to the site's log."""
    known = {(one.key, one.revision, one.gone) for _, one in log.read(0)}
    mine = store.settings.path
    fresh = []
    for _, one in store.log.read(0):
        moved = _at(one, mine, path)
        if (moved.key, moved.revision, moved.gone) not in known:
            fresh.append(moved)
    for begin in range(0, len(fresh), _AT_ONCE):
        log.append(fresh[begin : begin + _AT_ONCE])
    return len(fresh)


def _at(one: Record, mine: str, path: str) -> Record:
    """The fact under the site's own path."""
    if mine == path:
        return one
    kept = {name: getattr(one, name) for name in one.__struct_fields__}
    return type(one)(**{**kept, "path": path + one.path.removeprefix(mine)})
