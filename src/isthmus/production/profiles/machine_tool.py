"""OPC UA for Machine Tools: channel, program and operation mode (OPC 40501-1, 8.4 and 12)."""

from __future__ import annotations

from isthmus.model.states import State
from isthmus.production.profiles import Profile, Signal

PROFILE = Profile(
    name="machine-tool",
    title="OPC UA for Machine Tools (OPC 40501-1)",
    main="channel_state",
    signals={
        "channel_state": Signal(
            help="Monitoring/Channel/ChannelState",
            words={"Active": State.RUN, "Interrupted": State.DOWN, "Reset": State.IDLE},
            numbers={0: "Active", 1: "Interrupted", 2: "Reset"},
        ),
        "program_state": Signal(
            help="Production/ActiveProgram/State/CurrentState, as text or its number",
            words={
                "Initializing": State.IDLE,
                "Running": None,
                "Ended": State.IDLE,
                "Interrupted": None,
                "Aborted": State.IDLE,
            },
            numbers={0: "Initializing", 1: "Running", 2: "Ended", 3: "Interrupted", 4: "Aborted"},
        ),
        "channel_mode": Signal(
            help="Monitoring/Channel/ChannelMode",
            words={
                "Automatic": None,
                "MdaMdi": State.SETUP,
                "JogManual": State.SETUP,
                "JogIncrement": State.SETUP,
                "TeachingHandle": State.SETUP,
                "Remote": None,
                "Reference": State.SETUP,
                "Other": None,
            },
            numbers={
                0: "Automatic",
                1: "MdaMdi",
                2: "JogManual",
                3: "JogIncrement",
                4: "TeachingHandle",
                5: "Remote",
                6: "Reference",
                7: "Other",
            },
        ),
        "operation_mode": Signal(
            help="Monitoring/MachineTool/OperationMode",
            words={
                "Manual": State.SETUP,
                "Automatic": None,
                "Setup": State.SETUP,
                "AutoWithManualIntervention": None,
                "Service": State.PLANNED,
                "Other": None,
            },
            numbers={
                0: "Manual",
                1: "Automatic",
                2: "Setup",
                3: "AutoWithManualIntervention",
                4: "Service",
                5: "Other",
            },
        ),
    },
)
