"""PackML: the state machine of packaging machines (ANSI/ISA-TR88.00.02-2022, OPC 30050)."""

from __future__ import annotations

from isthmus.model.states import State
from isthmus.production.profiles import FLAG, Profile, Signal

PROFILE = Profile(
    name="packml",
    title="PackML (ISA-TR88.00.02)",
    main="state",
    signals={
        "state": Signal(
            help="StateCurrent, as a number or a word",
            words={
                "Undefined": State.UNKNOWN,
                "Clearing": State.DOWN,
                "Stopped": State.DOWN,
                "Starting": State.IDLE,
                "Idle": State.IDLE,
                "Suspended": State.STARVED,
                "Execute": State.RUN,
                "Stopping": State.DOWN,
                "Aborting": State.DOWN,
                "Aborted": State.DOWN,
                "Holding": State.DOWN,
                "Held": State.DOWN,
                "Unholding": State.DOWN,
                "Suspending": State.STARVED,
                "Unsuspending": State.STARVED,
                "Resetting": State.IDLE,
                "Completing": State.IDLE,
                "Complete": State.IDLE,
            },
            numbers={
                0: "Undefined",
                1: "Clearing",
                2: "Stopped",
                3: "Starting",
                4: "Idle",
                5: "Suspended",
                6: "Execute",
                7: "Stopping",
                8: "Aborting",
                9: "Aborted",
                10: "Holding",
                11: "Held",
                12: "Unholding",
                13: "Suspending",
                14: "Unsuspending",
                15: "Resetting",
                16: "Completing",
                17: "Complete",
            },
        ),
        "mode": Signal(
            help="UnitModeCurrent",
            words={
                "Invalid": None,
                "Production": None,
                "Producing": None,
                "Maintenance": State.SETUP,
                "Manual": State.SETUP,
            },
            numbers={0: "Invalid", 1: "Production", 2: "Maintenance", 3: "Manual"},
        ),
        "starved": Signal(
            help="EquipmentInterlock.Starved",
            words={"true": State.STARVED, "false": None},
            numbers=FLAG,
        ),
        "blocked": Signal(
            help="EquipmentInterlock.Blocked",
            words={"true": State.BLOCKED, "false": None},
            numbers=FLAG,
        ),
    },
)
