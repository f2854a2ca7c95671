"""Read captures, lists, exports and logs into the record; nothing on the network is touched.

    isthmus audit import monday.pcap tuesday.pcapng --into audit/
    isthmus audit import captures/ --plant plant.toml       zones and conduits judge the connections
    isthmus audit import assets.xlsx --preview              which column means what; nothing is kept
    isthmus audit import assets.xlsx --map "Typ=model" --map "Bemerkung=-"
    isthmus audit import devices.json conn.log              NetBox or Malcolm exports, logs of Zeek and ICSNPP

Captures are pcap or pcapng, plain or gzipped. A file that was read before is not read again, and the
order of files does not matter; a list with another --map is, and what it said before goes. Of a folder
captures and logs are read; name lists themselves. Rows that do not fit are listed, and so are columns
whose names mean nothing here.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from isthmus.model.errors import IsthmusError, UsageError
from isthmus.model.inventory import ASKED
from isthmus.run.auditing import plant as audit_plant
from isthmus.run.auditing.words import Progress, folder, person

if TYPE_CHECKING:
    from isthmus.assets.ledger import Fact
    from isthmus.model.records import Record
    from isthmus.run.auditing.store import AuditStore

_CAPTURES: Final = frozenset({".pcap", ".pcapng", ".cap", ".ntar"})
_LISTS: Final = frozenset({".csv", ".tsv", ".xlsx", ".xlsm", ".json", ".log", ".txt"})
_MAGIC: Final = (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\n\r\r\n")
_LISTED: Final = 20
_SAMPLES: Final = 3
_WIDEST: Final = 40


def arguments(parser: argparse.ArgumentParser) -> None:
    """Files, and what the plant declares."""
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="captures, lists or logs, or a folder of them"
    )
    folder(parser)
    person(parser)
    audit_plant.arguments(parser)
    parser.add_argument("--preview", action="store_true", help="show what a list's columns would mean; keep nothing")
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        dest="mapped",
        metavar="COLUMN=FIELD",
        help="say what a column means; - leaves it out",
    )
    parser.add_argument("--sheet", default="", help="the sheet of a workbook (default: the first)")


def run(args: argparse.Namespace) -> int:
    """Read everything, judge once, and say what stands. 1 when a file could not be read at all."""
    files = _files(args.files)
    if args.preview:
        for path in files:
            _preview(path, args)
        return 0
    from isthmus.run.auditing.judge import judge  # noqa: PLC0415  heavy
    from isthmus.run.auditing.store import AuditStore  # noqa: PLC0415  heavy

    with AuditStore(args.folder) as store:
        audit_plant.declare(store, args)
        failed = 0
        for path in files:
            try:
                failed += not take_in(store, path, by=args.by, sheet=args.sheet, mapped=args.mapped)
            except (IsthmusError, OSError) as error:
                failed += 1
                print(error if str(error).startswith(str(path)) else f"{path}: {error}")
        progress = Progress("judging")
        progress("the record")
        told = judge(store)
        progress.end()
        work = [one for one in told.findings if one.severity != "note"]
        print(
            f"\n{len(told.assets):,} assets, {len(work):,} findings; {told.changed:,} facts are new or otherwise.\n"
            f"Go on with: isthmus audit list --into {args.folder}, isthmus audit findings --into {args.folder}"
        )
    return int(failed > 0)


def _files(given: Sequence[Path]) -> list[Path]:
    out: list[Path] = []
    for path in given:
        if path.is_dir():
            kinds = [(one, _kind(one)) for one in sorted(path.rglob("*"))]
            out += [one for one, kind in kinds if kind in ("capture", "log")]
            lists = [one.name for one, kind in kinds if kind == "list"]
            if lists:
                more = f" and {len(lists) - _SAMPLES} more" if len(lists) > _SAMPLES else ""
                print(
                    f"{path}: lists are not read with a folder: {', '.join(lists[:_SAMPLES])}{more}; name them themselves"
                )
        elif path.exists():
            out.append(path)
        else:
            msg = f"there is no file {path}"
            raise UsageError(msg)
    if not out:
        msg = "there is no capture or log in the folder; name the files themselves"
        raise UsageError(msg)
    return out


def _kind(path: Path) -> str:
    """capture, log or list, by content before name."""
    if not path.is_file():
        return ""
    names = {suffix.lower() for suffix in path.suffixes[-2:]}
    with path.open("rb") as file:
        head = file.read(16)
    if head[:4] in _MAGIC or names & _CAPTURES:
        return "capture"
    if head.startswith(b"#separator") or ".log" in names:
        return "log"
    return "list" if names & _LISTS else ""


def take_in(  # noqa: PLR0913  how a file is to be read
    store: AuditStore,
    path: Path,
    *,
    by: str,
    sheet: str = "",
    mapped: Sequence[str] = (),
    say: Callable[[str], None] = print,
) -> bool:
    """Read one file into the record, unless it was read before, and say what it held; False for a list of nothing."""
    from isthmus.model.equipment import beside  # noqa: PLC0415  as below
    from isthmus.model.records.assets import SourceRead  # noqa: PLC0415  as below
    from isthmus.run.auditing.store import digest_of  # noqa: PLC0415  heavy

    digest = digest_of(path)
    if store.has_source(digest) and not (mapped and _kind(path) == "list"):
        more = "; with --map it is read otherwise" if _kind(path) == "list" else ""
        say(f"{path.name}: read before, nothing new in it{more}")
        return True
    begun = time.monotonic()
    progress = Progress(path.name)
    progress("reading")
    facts, packets, wrong, what = _facts(store, path, digest, sheet, mapped)
    progress.end()
    if what == "list" and not facts:
        say(f"{path.name}: no row of it names a device, so nothing was kept; see --preview, and --map for its columns")
        _list(wrong, say, "mend the first ones")
        return False
    again = store.has_source(digest)
    if again:
        facts = _instead(store, digest, facts)
    now = time.time_ns()
    read = SourceRead(
        path=beside(store.settings.path, "audit-source", digest),
        time_ns=now,
        name=path.name,
        what=what,
        by=by,
        said_ns=now,
        packets=packets,
        not_fitting=tuple(wrong),
    )
    store.append([*facts, read])
    speed = f" in {time.monotonic() - begun:.1f} s" if packets else ""
    said = f"{len(facts):,} statement{'s' if len(facts) != 1 else ''}"
    said = f"read otherwise than before, {said} new or gone" if again else said
    say(f"{path.name}: {f'{packets:,} packets, ' if packets else ''}{said}{speed}")
    _list(wrong, say, "isthmus audit show --sources lists all")
    return True


def _list(wrong: Sequence[str], say: Callable[[str], None], more: str) -> None:
    for line in wrong[:_LISTED]:
        say(f"    {line}")
    if len(wrong) > _LISTED:
        say(f"    and {len(wrong) - _LISTED:,} more; {more}")


def _instead(store: AuditStore, digest: str, facts: Sequence[Record]) -> Sequence[Record]:
    """What changes when a list is read otherwise: what it said before and says no more goes."""
    from isthmus.model.records.assets import AssetSeen  # noqa: PLC0415  heavy
    from isthmus.run.auditing.judge import changes  # noqa: PLC0415  heavy

    before = [one for one in store.all(AssetSeen) if one.source == digest]
    return changes(facts, before, None, store.revision)


def _facts(
    store: AuditStore, path: Path, digest: str, sheet: str, mapped: Sequence[str]
) -> tuple[Sequence[Record], int, Sequence[str], str]:
    """The facts of a file, its packets, what could not be read, and what it is."""
    plant = store.settings.path
    kind = _kind(path)
    if kind == "capture" or not kind:
        from isthmus.assets.decode.audit import hear  # noqa: PLC0415  heavy
        from isthmus.assets.decode.capture import application  # noqa: PLC0415  heavy
        from isthmus.assets.decode.ends import EndsHeard  # noqa: PLC0415  heavy
        from isthmus.assets.heard import asked_facts, facts_of  # noqa: PLC0415  heavy
        from isthmus.run.auditing.cards import card_makers  # noqa: PLC0415  a large table
        from isthmus.run.auditing.pieces import across  # noqa: PLC0415  heavy

        ends = EndsHeard()
        heard = hear(path, ends)
        if application(path) == ASKED:
            return asked_facts(plant, heard, digest), heard.packets, heard.told, "asked"
        seen, flows = facts_of(plant, heard, digest, card_makers())
        facts: list[Fact] = [*seen, *flows]
        more = across(store, ends.ends(digest), facts) if heard.packets else []
        return [*facts, *more], heard.packets, heard.told, "capture"
    when = path.stat().st_mtime_ns
    if kind == "log" or _has_two_ends(path):
        from isthmus.assets.declared import zeek  # noqa: PLC0415  heavy

        found = zeek.read(plant, path, digest, when)
        return [*found.seen, *found.flows], 0, found.not_fitting, "log"
    from isthmus.assets.declared import mapping, tables  # noqa: PLC0415  heavy

    table = tables.read(path, sheet, mapping.is_known)
    wanted = _mapping(mapped)
    columns = mapping.guess(table.columns, wanted)
    method = "NetBox" if any(name.startswith("device_type") for name in table.columns) else "list"
    told = mapping.statements(plant, table, columns, source=digest, time_ns=when, method=f"{method} {path.name}")
    return told.seen, 0, [*mapping.left_out(table, columns, wanted), *told.not_fitting], "list"


def _has_two_ends(path: Path) -> bool:
    if path.suffix != ".json":
        return False
    with path.open("rb") as file:
        head = file.read(8192)
    return any(sign in head for sign in (b"id.orig_h", b'"destination"', b"destination.ip"))


def _mapping(pairs: Sequence[str]) -> dict[str, str]:
    out: dict[str, str] = {}
    for pair in pairs:
        column, sign, field = pair.rpartition("=")
        if not sign:
            msg = f"{pair!r} is no COLUMN=FIELD, for example --map 'Typ=model'"
            raise UsageError(msg)
        out[column.strip()] = field.strip()
    return out


def _preview(path: Path, args: argparse.Namespace) -> None:
    """What each column would mean, with samples, and the rows that do not fit."""
    from isthmus.assets.declared import mapping, tables  # noqa: PLC0415  heavy
    from isthmus.model.inventory import spoken  # noqa: PLC0415  as above
    from isthmus.run.auditing.words import table as print_table  # noqa: PLC0415  as above

    if _kind(path) != "list":
        print(f"{path.name}: a {_kind(path) or 'file of another sort'}, there are no columns to map")
        return
    table = tables.read(path, args.sheet, mapping.is_known)
    columns = mapping.guess(table.columns, _mapping(args.mapped))
    told = mapping.statements("preview/preview", table, columns, source="preview", time_ns=0)
    every = len(table.rows) + len(table.not_fitting)
    print(f"{path.name}: {every:,} rows, {len(told.seen):,} fit, {every - len(told.seen):,} do not")
    rows = []
    for column in columns:
        held = (row[column.name][:_WIDEST] for _, row in table.rows if row.get(column.name))
        samples = list(dict.fromkeys(held))[:_SAMPLES]
        means = spoken(column.field) if column.field else "left out"
        rows.append((column.name, means + ("" if column.sure or not column.field else ", a guess"), "; ".join(samples)))
    print_table(("column", "means", "for example"), rows)
    for line in told.not_fitting[:_LISTED]:
        print(f"    {line}")
