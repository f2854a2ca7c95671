"""Score what the audit finds in a folder of captures of which the truth is known.

The folder holds captures with devices.csv, flows.csv and findings.csv beside them.

    isthmus audit score FOLDER            the figures, and each thing missed
    isthmus audit score FOLDER --json     the same for a program
"""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """The sub-verb's arguments."""
    parser.add_argument("folder", type=Path, help="captures and the lists of what is known of them")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """0 when it could be scored, whatever the figures."""
    import msgspec  # noqa: PLC0415  only here

    from isthmus.assets.score import score  # noqa: PLC0415  loads the decoders

    found = score(args.folder)
    if args.json:
        print(msgspec.json.encode(found).decode())
        return 0
    print(f"devices identified   {found.identified} of {found.identifiable} ({found.identified_share:.1%})")
    print(f"makers, models wrong {found.wrong}")
    print(f"services named       {found.label_share:.1%} of {found.labels} conversations")
    print(f"findings missed      {found.must_report_missed} of {found.must_report}")
    print(f"wrongly reported     {found.must_not_reported}")
    print(f"speed                {found.packets_per_s:,.0f} packets/s over {found.packets:,} packets")
    for miss in found.misses:
        print(f"  {miss}")
    return 0
