"""docs/flow.md: which fold reads whose facts."""

from __future__ import annotations

from isthmus.model.calendar import Calendar
from isthmus.model.plant import Counter, KpiPolicy, Machine, Plant, StateRules
from isthmus.run.wings import folds_of
from isthmus.site.folding.graph import flow


def page() -> str:
    """The flow of facts for a machine that has every kind of signal."""
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
