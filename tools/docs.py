"""Writes the pages that are made from the code, or with --check says which are out of date."""

from __future__ import annotations

import argparse
import inspect
import sys
from pathlib import Path

from isthmus.model.calendar import Calendar
from isthmus.model.plant import Counter, KpiPolicy, Machine, Plant, StateRules
from isthmus.model.records import kinds
from isthmus.run.wings import folds_of
from isthmus.site.graph import flow

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"


def records_page() -> str:
    """Every record kind, who emits it, and its fields."""
    out = ["# Records", "", "Every fact that may travel. Made from the code by `make docs`.", ""]
    for name, kind in kinds().items():
        out += [f"## {name}", "", inspect.cleandoc(kind.__doc__ or ""), "", f"Emitted by `{kind.emitter}`.", ""]
    return "\n".join(out)


def flow_page() -> str:
    """Which fold reads whose facts, for a machine that has every kind of signal."""
    counter = Counter(tag="plc/count")
    rules = StateRules(tags={"running": "plc/running"}, rules=("RUN if running", "IDLE"))
    machine = Machine(
        path="plant/site/area/line/machine", name="Machine", calendar="main", state=rules, good=counter, scrap=counter
    )
    plant = Plant(
        name="Plant",
        path="plant/site",
        time_zone="UTC",
        currency="GBP",
        calendars={"main": Calendar(name="main")},
        machines={machine.path: machine},
        products={},
        reasons={},
        kpi=KpiPolicy(),
    )
    about = [
        "Boxes are folds, rounded boxes are doors, people and the edge; on the arrows stand the kinds of record.",
        "A kind has one emitter and there is no ring, or the site does not start. Made from the code by `make docs`.",
    ]
    return "\n".join(["# Flow", "", *about, "", "```mermaid", flow(folds_of(plant, machine)), "```", ""])


PAGES = {"records.md": records_page, "../flow.md": flow_page}


def main() -> int:
    """Write or check; 1 when --check finds a stale page."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--check", action="store_true")
    check = options.parse_args().check
    stale = []
    for name, make in PAGES.items():
        path, text = REFERENCE / name, make()
        if check and (not path.exists() or path.read_text() != text):
            stale.append(name)
        elif not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    if stale:
        print(f"out of date: {', '.join(stale)}; run `make docs` and commit")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
