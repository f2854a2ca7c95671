"""Numbers, times and states as people read them: every number with its unit, every time in the plant's zone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from isthmus.model.states import State
from isthmus.model.time import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_S, from_datetime, to_datetime

STATES: Final[Mapping[State, str]] = {
    State.RUN: "running",
    State.IDLE: "idle",
    State.SETUP: "set-up",
    State.DOWN: "down",
    State.BLOCKED: "blocked",
    State.STARVED: "starved",
    State.PLANNED: "planned stop",
    State.OFF: "off",
    State.UNKNOWN: "no data",
}

NOTHING: Final = "\N{EN DASH}"


def number(value: float | None, decimals: int = 0) -> str:
    """A number with thousands apart; a dash for None.

    >>> number(1284)
    '1,284'
    >>> number(12.5)
    '12.5'
    """
    if value is None or math.isnan(value):
        return NOTHING
    if decimals == 0 and value != int(value):
        decimals = 1
    return f"{value:,.{decimals}f}"


def percent(share: float | None, decimals: int = 0) -> str:
    r"""A share of one in per cent.

    >>> percent(0.714)
    '71\xa0%'

    What is not whole is never rounded up to whole: 0.9996 is 99.9 %, not 100 %.
    """
    if share is None:
        return NOTHING
    text = f"{share * 100:.{decimals}f}"
    if share < 1 and float(text) >= 100:  # noqa: PLR2004  per cent
        return f"{math.floor(share * 1000) / 10:.1f}\N{NO-BREAK SPACE}%"
    return f"{text}\N{NO-BREAK SPACE}%"


def duration(length_ns: int | None) -> str:
    """How long, in the two largest units that matter.

    >>> duration(8040 * 1_000_000_000)
    '2 h 14 min'
    """
    if length_ns is None:
        return NOTHING
    seconds = max(0, length_ns // NS_PER_S)
    if seconds < 60:  # noqa: PLR2004  a minute
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 10:  # noqa: PLR2004  seconds still matter
        return f"{minutes} min {seconds % 60:02d} s"
    if minutes < 60:  # noqa: PLR2004  an hour
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:  # noqa: PLR2004  two days
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"


def minutes(length_ns: int, quantum_ns: int = NS_PER_MINUTE) -> str:
    """Minutes, whole or to a tenth, as `quantum_ns` says."""
    return f"{length_ns / NS_PER_MINUTE:,.{0 if quantum_ns >= NS_PER_MINUTE else 1}f}"


class Clock:
    """Writes moments in the plant's own time."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone

    def time(self, time_ns: int | None) -> str:
        """As 11:42."""
        return to_datetime(time_ns, self._zone).strftime("%H:%M") if time_ns is not None else NOTHING

    def second(self, time_ns: int | None) -> str:
        """As 11:42:08."""
        return to_datetime(time_ns, self._zone).strftime("%H:%M:%S") if time_ns is not None else NOTHING

    def exact(self, time_ns: int | None) -> str:
        """As 11:42:07.914."""
        if time_ns is None:
            return NOTHING
        return to_datetime(time_ns, self._zone).strftime("%H:%M:%S.%f")[:-3]

    def full(self, time_ns: int) -> str:
        """As Mon 23 Nov 11:42:07.914."""
        return f"{self.day(time_ns)} {self.exact(time_ns)}"

    def field(self, time_ns: int) -> str:
        """As 2026-11-23T11:42:07.914, for a field of a form."""
        return to_datetime(time_ns, self._zone).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]

    def read(self, text: str) -> int | None:
        """The moment that such a field holds, UTC ns; None for what is none."""
        try:
            return from_datetime(datetime.fromisoformat(text).replace(tzinfo=self._zone).astimezone(UTC))
        except (ValueError, OverflowError):
            return None

    def day(self, time_ns: int | None) -> str:
        """As Mon 23 Nov."""
        if time_ns is None:
            return NOTHING
        moment = to_datetime(time_ns, self._zone)
        return f"{moment:%a} {moment.day} {moment:%b}"

    def date(self, time_ns: int) -> str:
        """As 2026-11-23."""
        return to_datetime(time_ns, self._zone).date().isoformat()

    def moment(self, time_ns: int | None, now_ns: int) -> str:
        """11:42 today, and with its day when it was another day."""
        if time_ns is None:
            return NOTHING
        if self.date(time_ns) == self.date(now_ns):
            return self.second(time_ns)
        return f"{self.day(time_ns)} {self.time(time_ns)}"

    def due(self, time_ns: int | None, now_ns: int) -> str:
        """As 11:42 today, and with its day when it is another day."""
        if time_ns is None:
            return NOTHING
        today = self.date(time_ns) == self.date(now_ns)
        return self.time(time_ns) if today else f"{self.day(time_ns)} {self.time(time_ns)}"

    def iso(self, time_ns: int) -> str:
        """As 2026-11-23T11:42:08+00:00."""
        return to_datetime(time_ns, self._zone).isoformat(timespec="milliseconds")


KINDS: Final = {
    "f64": "number",
    "i64": "whole number",
    "bool": "true or false",
    "str": "text",
    "waveform": "fast signal",
}
"""What people call the kinds of values of tags."""


def value(given: Any, unit: str) -> str:  # noqa: ANN401  a tag's value is of any kind
    """A tag's value with its unit; a dash for none."""
    if given is None:
        return NOTHING
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, float):
        size = abs(given)
        decimals = 0 if size >= 1000 or given == 0 else 1 if size >= 100 else 2 if size >= 1 else 4  # noqa: PLR2004
        text = f"{given:,.{decimals}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    elif isinstance(given, int):
        text = f"{given:,}"
    else:
        text = str(given)
    return f"{text} {unit}".rstrip()


def plural(count: float, one: str, many: str = "") -> str:
    """1 tag, 2 tags."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def rounded_parts(lengths_ns: list[int], quantum_ns: int) -> list[int]:
    """Lengths rounded to `quantum_ns` so that they still add up to their rounded sum.

    Each border between parts is rounded, not each part, so no part is off by more than one quantum.

    >>> rounded_parts([1, 1, 1], 2)
    [2, 0, 2]
    """
    out, at, done = [], 0, 0
    for length in lengths_ns:
        at += length
        border = (2 * at + quantum_ns) // (2 * quantum_ns) * quantum_ns
        out.append(border - done)
        done = border
    return out


def quantum_for(total_ns: int) -> int:
    """Whole minutes for a long window, tenths of a minute for less than two hours."""
    return NS_PER_MINUTE if total_ns >= 2 * NS_PER_HOUR else NS_PER_MINUTE // 10
