"""Faults to order at a simulated controller: by a button, by the fixed script, or written on the command line.

mute:paint@30+20                       from second 30 on, for 20 s
drop:cnc-01@30
lie:mill-04:temperature=95@30+20
drift:cnc-01:vibration=40@30+60        per hour
clock:cnc-02:600@30+20                 seconds ahead; behind with a minus
"""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple

from isthmus.model.errors import UsageError
from isthmus.model.time import NS_PER_S
from isthmus.run.show.stage import Stage
from isthmus.run.show.story import Act, Happening, breaks, delivers, freeze, unplug
from isthmus.sim.northgate import MACHINES
from isthmus.sim.world import Value

_FORM: Final = re.compile(
    r"(?P<kind>\w+):(?P<machine>[\w-]+)(:(?P<detail>[^@]+))?@(?P<at>\d+(\.\d+)?)(\+(?P<lasts>\d+(\.\d+)?))?\Z"
)
_LASTS_S: Final = 20.0
_SIGNALS: Final = (
    "state",
    "good",
    "scrap",
    "order",
    "product",
    "alarm",
    "spindle_speed",
    "spindle_load",
    "temperature",
)
SIGNALS: Final = (*_SIGNALS, "vibration", "power", "energy")


def drop(machine: str) -> Act:
    """Every connection to a controller is cut at once; it takes new ones."""

    async def act(stage: Stage) -> None:
        stage.plant.drop(machine)
        await delivers(stage, f"drop:{machine}", machine)

    return act


def mute(machine: str, seconds: float) -> Act:
    """A controller answers and keeps its connections alive, and its values stand still for so long."""

    async def act(stage: Stage) -> None:
        stage.plant.mute(machine)
        await asyncio.sleep(seconds)
        stage.plant.unmute(machine)

    return act


def lie(machine: str, signal: str, value: Value, seconds: float) -> Act:
    """A signal says one value whatever is so: a stuck sensor."""

    async def act(stage: Stage) -> None:
        stage.plant.lie(machine, signal, value)
        await asyncio.sleep(seconds)
        stage.plant.tell_truth(machine, signal)

    return act


def drift(machine: str, signal: str, per_hour: float, seconds: float) -> Act:
    """A signal moves away from the truth by so much an hour: an ageing sensor."""

    async def act(stage: Stage) -> None:
        stage.plant.drift(machine, signal, per_hour)
        await asyncio.sleep(seconds)
        stage.plant.tell_truth(machine, signal)

    return act


def jump_clock(machine: str, ahead_s: float, seconds: float) -> Act:
    """A controller's clock is so many seconds ahead, or with a minus behind."""

    async def act(stage: Stage) -> None:
        stage.plant.faults.jump_clock(machine, int(ahead_s * NS_PER_S))
        await asyncio.sleep(seconds)
        stage.plant.faults.set_clock_right(machine)

    return act


class _Kind(NamedTuple):
    """How a fault is written and what it does."""

    make: Callable[[str, str, float], Act]
    detail: str
    """What stands behind the machine, "" for nothing."""
    words: str


def _signal(detail: str) -> tuple[str, Value]:
    signal, equals, value = detail.partition("=")
    if not equals or not value or signal not in SIGNALS:
        near = difflib.get_close_matches(signal, SIGNALS, n=1)
        msg = f"{detail} names no signal and value; write temperature=95. {'Did you mean ' + near[0] + '?' if near else 'Signals: ' + ', '.join(SIGNALS)}"
        raise UsageError(msg)
    try:
        return signal, float(value)
    except ValueError:
        return signal, value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        msg = f"{text} is no number"
        raise UsageError(msg) from error


def _drifting(machine: str, detail: str, seconds: float) -> Act:
    signal, value = _signal(detail)
    return drift(machine, signal, _number(str(value)), seconds)


KINDS: Final[Mapping[str, _Kind]] = {
    "drop": _Kind(lambda machine, _, __: drop(machine), "", "its connections are cut"),
    "mute": _Kind(lambda machine, _, seconds: mute(machine, seconds), "", "it answers, and its values stand still"),
    "freeze": _Kind(lambda machine, _, seconds: freeze(machine, seconds), "", "it accepts, and never answers"),
    "restart": _Kind(
        lambda machine, _, seconds: unplug(machine, seconds), "", "it loses power, and comes back with other node ids"
    ),
    "lie": _Kind(
        lambda machine, detail, seconds: lie(machine, *_signal(detail), seconds), "SIGNAL=VALUE", "a signal is stuck"
    ),
    "drift": _Kind(_drifting, "SIGNAL=PER_HOUR", "a signal moves away from the truth"),
    "clock": _Kind(
        lambda machine, detail, seconds: jump_clock(machine, _number(detail), seconds), "SECONDS", "its clock jumps"
    ),
    "break": _Kind(
        lambda machine, detail, seconds: breaks(machine, seconds, detail), "ALARM", "the machine itself stops"
    ),
}


def ordered(text: str) -> Happening:
    """A fault as it is written on the command line. Raises UsageError that says how one is written."""
    match = _FORM.match(text)
    if match is None:
        msg = f"{text} is no fault; write KIND:MACHINE@SECOND+LASTS, for example mute:paint@30+20"
        raise UsageError(msg)
    kind = KINDS.get(match["kind"])
    if kind is None:
        raise UsageError(_unknown("fault", match["kind"], KINDS))
    machines = {machine.name: machine for machine in MACHINES}
    if match["machine"] not in machines:
        raise UsageError(_unknown("machine", match["machine"], machines))
    detail = match["detail"] or ""
    if bool(detail) != bool(kind.detail):
        form = ":".join(filter(None, (match["kind"], match["machine"], kind.detail)))
        msg = f"{text}: write {form}@SECOND+LASTS"
        raise UsageError(msg)
    if match["kind"] == "clock" and machines[match["machine"]].protocol == "modbus":
        msg = f"{text}: a Modbus controller tells no times, so its clock cannot jump; take one of another protocol"
        raise UsageError(msg)
    seconds = float(match["lasts"]) if match["lasts"] else _LASTS_S
    act = kind.make(match["machine"], detail, seconds)
    return Happening(
        float(match["at"]), f"{match['machine']}: {kind.words}{' (' + detail + ')' if detail else ''}", act
    )


def _unknown(what: str, word: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"no {what} is called {word}; {'did you mean ' + near[0] + '?' if near else 'there are ' + ', '.join(known)}"
