"""How the verbs of `isthmus audit` speak: tables that fit a terminal, progress, whose folder it is."""

from __future__ import annotations

import argparse
import getpass
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from isthmus.model.errors import UsageError
from isthmus.model.inventory import ATTRIBUTES, MORE, ROLES
from isthmus.model.records.assets import AssetKnown
from isthmus.model.time import to_datetime

FOLDER: Final = Path("audit")
_EVERY_S: Final = 0.5


def folder(parser: argparse.ArgumentParser, option: str = "--into") -> None:
    """The option that names the audit's folder; the other of its two names is taken as well."""
    parser.add_argument(
        option,
        "--from" if option == "--into" else "--into",
        dest="folder",
        type=Path,
        default=FOLDER,
        metavar="FOLDER",
        help="the folder of the audit (default: %(default)s)",
    )


def person(parser: argparse.ArgumentParser) -> None:
    """Who says it."""
    parser.add_argument("--by", default=_user(), metavar="NAME", help="who says so (default: %(default)s)")


def named_person(args: argparse.Namespace) -> str:
    """Who decides. Raises UsageError for nobody."""
    if not args.by.strip():
        msg = "say who decides with --by; a decision is a person's"
        raise UsageError(msg)
    return str(args.by.strip())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"


class Progress:
    """One line that says how far long work is; silent where nobody looks."""

    def __init__(self, what: str) -> None:
        self._what, self._told, self._shown = what, 0.0, False

    def __call__(self, done: int | str) -> None:
        """Say how far it is, at most twice a second."""
        now = time.monotonic()
        if sys.stderr.isatty() and now - self._told > _EVERY_S:
            self._told, self._shown = now, True
            said = f"{done:,}" if isinstance(done, int) else done
            print(f"\r{self._what}: {said}".ljust(78), end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Take the line away."""
        if self._shown:
            print("\r" + " " * 78 + "\r", end="", file=sys.stderr, flush=True)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under a header; the widest column gives way where the terminal is narrow."""
    lines = [tuple(str(cell) for cell in row) for row in rows]
    widths = [max([len(name), *(len(row[index]) for row in lines)]) for index, name in enumerate(head)]
    room = shutil.get_terminal_size((120, 40)).columns if sys.stdout.isatty() else 400
    while sum(widths) + 2 * len(widths) > room and max(widths) > 12:  # noqa: PLR2004  narrower says nothing
        widths[widths.index(max(widths))] -= 1
    for row in (tuple(head), *lines):
        cells = [_cut(cell, width).ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def day(time_ns: int) -> str:
    """As 2026-11-22; "" for 0."""
    return to_datetime(time_ns).date().isoformat() if time_ns else ""


def moment(time_ns: int) -> str:
    """As 2026-11-22 10:04:31, UTC."""
    return to_datetime(time_ns).strftime("%Y-%m-%d %H:%M:%S")


def identity(asset: AssetKnown) -> str:
    """The asset's id."""
    return asset.path.rpartition("/")[2]


def one_asset(assets: Sequence[AssetKnown], said: str) -> AssetKnown:
    """The asset that a person means by an id, address, serial or name. Raises UsageError for none or several."""
    wanted = said.strip().lower()
    found = [one for one in assets if wanted == identity(one) or wanted in one.aliases]
    if not found:
        fields = ("address", "serial", "name", "mac")
        found = [
            one for one in assets if any(field.value.lower() == wanted for name in fields for field in one.all(name))
        ]
    own = [one for one in found if not one.parent] or found
    if len(own) == 1:
        return own[0]
    if not own:
        msg = f"no asset has the id, address, serial or name {said!r}; see isthmus audit list"
        raise UsageError(msg)
    listed = ", ".join(f"{identity(one)} ({one.best('model') or one.best('address')})" for one in own[:8])
    msg = f"{said!r} is said of {len(own)} assets: {listed}; give the id"
    raise UsageError(msg)


def fields_given(pairs: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE pairs as fields. Raises UsageError for a field that there is not, or a value that it cannot have."""
    from isthmus.assets.declared.mapping import checked  # noqa: PLC0415  heavy
    from isthmus.assets.roles import named  # noqa: PLC0415  as above

    out: dict[str, str] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or (name not in ATTRIBUTES and name not in MORE):
            msg = f"{pair!r} is no FIELD=VALUE; fields are {', '.join(sorted([*ATTRIBUTES, *MORE]))}"
            raise UsageError(msg)
        out[name] = value.strip()
        try:
            out[name] = checked(name, out[name])
        except ValueError as error:
            msg = f"{pair!r}: {error}"
            raise UsageError(msg) from error
        if name == "role" and out[name]:
            out[name] = named(out[name])
            if not out[name]:
                msg = f"{pair!r} means no role; roles are {', '.join(sorted(role for role in ROLES if role))}"
                raise UsageError(msg)
    return out
