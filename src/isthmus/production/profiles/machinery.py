"""OPC UA for Machinery: item state and operation mode (OPC 40001-1, 12 and 13; annex C maps to ISO 22400)."""

from __future__ import annotations

from isthmus.model.states import State
from isthmus.production.profiles import Profile, Signal

PROFILE = Profile(
    name="machinery",
    title="OPC UA for Machinery (OPC 40001-1)",
    main="state",
    signals={
        "state": Signal(
            help="MachineryItemState.CurrentState, as text or its number",
            words={
                "NotAvailable": State.OFF,
                "OutOfService": State.DOWN,
                "NotExecuting": State.IDLE,
                "Executing": State.RUN,
            },
            numbers={0: "NotAvailable", 1: "OutOfService", 2: "NotExecuting", 3: "Executing"},
        ),
        "mode": Signal(
            help="MachineryOperationMode.CurrentState, as text or its number",
            words={"None": None, "Maintenance": State.PLANNED, "Setup": State.SETUP, "Processing": None},
            numbers={0: "None", 1: "Maintenance", 2: "Setup", 3: "Processing"},
        ),
    },
)
