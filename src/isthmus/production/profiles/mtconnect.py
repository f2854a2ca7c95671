"""MTConnect: execution and modes of a controller (ANSI/MTC1.4-2018 and later, part 2 and 3)."""

from __future__ import annotations

from isthmus.model.states import State
from isthmus.production.profiles import Profile, Signal

PROFILE = Profile(
    name="mtconnect",
    title="MTConnect",
    main="execution",
    signals={
        "execution": Signal(
            help="data item of type EXECUTION",
            words={
                "ACTIVE": State.RUN,
                "READY": State.IDLE,
                "STOPPED": State.IDLE,
                "PROGRAM_COMPLETED": State.IDLE,
                "PROGRAM_STOPPED": State.IDLE,
                "OPTIONAL_STOP": State.IDLE,
                "PROGRAM_OPTIONAL_STOP": State.IDLE,
                "INTERRUPTED": State.DOWN,
                "FEED_HOLD": State.DOWN,
                "WAIT": State.STARVED,
                "UNAVAILABLE": State.UNKNOWN,
            },
        ),
        "controller_mode": Signal(
            help="data item of type CONTROLLER_MODE",
            words={
                "AUTOMATIC": None,
                "SEMI_AUTOMATIC": None,
                "MANUAL": State.SETUP,
                "MANUAL_DATA_INPUT": State.SETUP,
                "EDIT": State.SETUP,
                "UNAVAILABLE": State.UNKNOWN,
            },
        ),
        "functional_mode": Signal(
            help="data item of type FUNCTIONAL_MODE",
            words={
                "PRODUCTION": None,
                "SETUP": State.SETUP,
                "TEARDOWN": State.SETUP,
                "PROCESS_DEVELOPMENT": State.SETUP,
                "MAINTENANCE": State.PLANNED,
                "UNAVAILABLE": State.UNKNOWN,
            },
        ),
        "emergency_stop": Signal(
            help="data item of type EMERGENCY_STOP",
            words={"ARMED": None, "TRIGGERED": State.DOWN, "UNAVAILABLE": State.UNKNOWN},
        ),
        "availability": Signal(
            help="data item of type AVAILABILITY",
            words={"AVAILABLE": None, "UNAVAILABLE": State.UNKNOWN},
        ),
    },
)
