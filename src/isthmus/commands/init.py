"""Write a plant file to begin with: by a few questions, and by browsing a server where you name one.

    isthmus init                                    asks, and writes plant.toml
    isthmus init --yes                              asks nothing and takes the defaults
    isthmus init --from http://10.20.0.31:5000      with every signal of an MTConnect agent
    isthmus init --from opc.tcp://10.20.0.21:4840 --field server_certificate=5A:31:...
                                                    the same of an OPC UA server

It reads and never writes to a device, and it replaces no file. Browsing needs what the source itself
needs; --field gives any field of its table in the plant file.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from isthmus.model.errors import UsageError

if TYPE_CHECKING:
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
    parser.add_argument("--from", dest="url", metavar="URL", help="browse this server: opc.tcp://... or http://...")
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
    load(args.file)
    print(f"{args.file} is written and in order. Next:")
    print(f"  isthmus check {args.file} --connect    each device answers")
    print("  add your machines: docs/tutorial/ot-engineer.md, docs/reference/plant-file.md")
    return 0


def _answers(args: argparse.Namespace) -> Answers:
    from isthmus.plantfile.found import browsed  # noqa: PLC0415  as above
    from isthmus.plantfile.starter import SHIFTS, Answers  # noqa: PLC0415  as above

    said: dict[str, str] = {field: _answer(args, field, question) for field, question in _QUESTIONS}
    if said["shifts"] not in SHIFTS:
        msg = (
            f"shifts = {said['shifts']!r} is none of {', '.join(SHIFTS)}; more patterns are written in the file itself"
        )
        raise UsageError(msg)
    answers = msgspec.structs.replace(Answers(), **said)
    if not args.url:
        return answers
    found = asyncio.run(browsed(args.url, args.source or "machine-1", _fields(args.field), args.only, args.deadline))
    print(f"{args.url} shows {len(found.tags)} signals")
    return msgspec.structs.replace(answers, source=found.name, kind=found.kind, fields=found.fields, tags=found.tags)


def _answer(args: argparse.Namespace, field: str, question: str) -> str:
    from isthmus.plantfile.starter import Answers  # noqa: PLC0415  as above

    default = str(getattr(Answers(), field))
    given: str | None = getattr(args, field)
    if given is None and not args.yes:
        try:
            given = input(f"{question} [{default}]: ").strip()
        except EOFError as error:
            msg = "nobody is there to answer; add --yes, and what you know as options"
            raise UsageError(msg) from error
    return given or default


def _fields(given: Sequence[str]) -> dict[str, str]:
    out = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not equals:
            msg = f"--field {each}: write KEY=VALUE, for example security=none"
            raise UsageError(msg)
        out[key.strip()] = value.strip()
    return out
