"""Write a plant file to begin with: by a few questions, and by browsing a server where you name one.

    isthmus init                                    asks, and writes plant.toml
    isthmus init --yes                              asks nothing and takes the defaults
    isthmus init --from http://10.20.0.31:5000      with every signal of an MTConnect agent
    isthmus init --from modbus://10.20.0.11:502     with the device; Modbus cannot say what signals it has
    isthmus init --from opc.tcp://10.20.0.21:4840   with every signal of an OPC UA server

At the first contact an OPC UA server shows its certificate. You compare its fingerprint with the one at
the server and say yes; --trust FINGERPRINT says it beforehand. Machines that follow a companion
specification are proposed behind comment marks. It reads and never writes to a device, and it replaces
no file. --field gives any field of the source's table in the plant file.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import available_timezones

import msgspec

from isthmus.model.errors import IsthmusError, NotApproved, UsageError

if TYPE_CHECKING:
    from isthmus.plantfile.found import Found
    from isthmus.plantfile.starter import Answers

_QUESTIONS = (
    ("name", "What is the plant called"),
    ("enterprise", "Short name of the company, as it begins every path"),
    ("time_zone", "Time zone"),
    ("shifts", "Shifts a day: 1, 2 or 3"),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("file", nargs="?", type=Path, default=Path("plant.toml"), help="the file to write (plant.toml)")
    parser.add_argument("--yes", action="store_true", help="ask nothing; what is not given takes its default")
    for field, question in _QUESTIONS:
        parser.add_argument(f"--{field.replace('_', '-')}", metavar="TEXT", help=f"answers: {question}")
    parser.add_argument("--from", dest="url", metavar="URL", help="browse this: opc.tcp://, http:// or modbus://")
    parser.add_argument("--trust", metavar="FINGERPRINT", help="approve this certificate of the server, and no other")
    parser.add_argument("--only", default="*", metavar="GLOB", help="signals whose path matches (*)")
    parser.add_argument("--source", metavar="NAME", help="what the source shall be called (machine-1)")
    parser.add_argument("--field", action="append", default=[], metavar="KEY=VALUE", help="a field of the source")
    parser.add_argument("--deadline", type=float, default=30.0, metavar="S", help="longest wait for browsing (30 s)")


def run(args: argparse.Namespace) -> int:
    """0 when the file is written and passes the check."""
    from isthmus.plantfile import load  # noqa: PLC0415  loads every room's sections
    from isthmus.plantfile.starter import starter  # noqa: PLC0415  as above

    if args.file.exists():
        msg = f"{args.file} is there already and stays as it is; name another file"
        raise UsageError(msg)
    text = starter(_answers(args))
    args.file.write_text(text, encoding="utf-8")
    try:
        load(args.file)
    except IsthmusError:
        args.file.unlink()
        raise
    print(f"{args.file} is written and in order. Next:")
    print(f"  isthmus check {args.file} --connect    each device answers")
    print("  add your machines; docs/reference/plant-file.md lists every field")
    print(f"  isthmus run {args.file}                edge, site and pages on this machine")
    return 0


def _answers(args: argparse.Namespace) -> Answers:
    from isthmus.plantfile.starter import Answers  # noqa: PLC0415  as above

    said: dict[str, str] = {field: _answer(args, field, question) for field, question in _QUESTIONS}
    answers = msgspec.structs.replace(Answers(), **said)
    if not args.url:
        return answers
    found = _found(args, _fields(args.field))
    _say_what_was_found(args.url, found)
    return msgspec.structs.replace(
        answers, source=found.name, kind=found.kind, fields=found.fields, tags=found.tags, machines=found.machines
    )


def _found(args: argparse.Namespace, fields: dict[str, str]) -> Found:
    """Browse; at a first contact once more, after a person approved the server's certificate."""
    from isthmus.plantfile.found import browsed  # noqa: PLC0415  as above

    try:
        return asyncio.run(browsed(args.url, args.source or "machine-1", fields, args.only, args.deadline))
    except NotApproved as shown:
        if shown.field in fields or not _approved(args, shown):
            raise
        return _found(args, {**fields, shown.field: shown.shown})


def _approved(args: argparse.Namespace, shown: NotApproved) -> bool:
    """Whether a person says that this is the server's own certificate."""
    if args.trust:
        if _bare(args.trust) == _bare(shown.shown):
            return True
        msg = f"{args.url} shows {shown.shown}, which is not the certificate of --trust; somebody may stand between"
        raise UsageError(msg)
    print(f"{args.url} shows a certificate that nobody has approved yet. Its fingerprint (SHA-256):")
    print(f"  {shown.shown}")
    if args.yes:
        print("compare it with the one at the server, then add --trust and this fingerprint", file=sys.stderr)
        return False
    return _ask("Is this the fingerprint that the server itself shows? yes or no").lower() in ("y", "yes")


def _bare(fingerprint: str) -> str:
    return fingerprint.lower().removeprefix("sha256:").replace(":", "").strip()


def _say_what_was_found(url: str, found: Found) -> None:
    who = " ".join(part for part in (found.identity.maker, found.identity.model, found.identity.firmware) if part)
    print(f"{url} answers ({found.identity.protocol}{', ' + who if who else ''}) and shows {len(found.tags)} signals")
    if found.left_out:
        print(f"  {found.left_out} more are structures, which no tag can hold; they are left out")
    for machine in found.machines:
        print(f"  {machine.root} looks like {machine.profile}: proposed as a machine behind comment marks")


def _answer(args: argparse.Namespace, field: str, question: str) -> str:
    from isthmus.plantfile.starter import Answers  # noqa: PLC0415  as above

    default = str(getattr(Answers(), field))
    given: str | None = getattr(args, field)
    if given is not None or args.yes:
        given = given or default
        if wrong := _wrong(field, given):
            raise UsageError(wrong)
        return given
    said = _ask(f"{question} [{default}]") or default
    while wrong := _wrong(field, said):
        print(wrong)
        said = _ask(f"{question} [{default}]") or default
    return said


def _wrong(field: str, given: str) -> str:
    """Why an answer cannot be, "" when it can."""
    from isthmus.plantfile.starter import SHIFTS  # noqa: PLC0415  as above

    if field == "shifts" and given not in SHIFTS:
        return f"shifts = {given!r} is none of {', '.join(SHIFTS)}; more patterns are written in the file itself"
    if field == "time_zone" and given not in available_timezones():
        near = get_close_matches(given, available_timezones(), 1)
        return f"no time zone is called {given!r}; " + (f"did you mean {near[0]}?" if near else "write Europe/London")
    return ""


def _ask(question: str) -> str:
    try:
        return input(f"{question}: ").strip()
    except EOFError as error:
        msg = "nobody is there to answer; add --yes, and what you know as options"
        raise UsageError(msg) from error


def _fields(given: Sequence[str]) -> dict[str, str]:
    out = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not equals:
            msg = f"--field {each}: write KEY=VALUE, for example security=none"
            raise UsageError(msg)
        out[key.strip()] = value.strip()
    return out
