"""Time is an int: nanoseconds since 1970-01-01T00:00:00Z. Intervals are half-open, [start, end)."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import Final, NamedTuple

NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000
NS_PER_MINUTE: Final = 60 * NS_PER_S
NS_PER_HOUR: Final = 3600 * NS_PER_S
NS_PER_DAY: Final = 86_400 * NS_PER_S


class Interval(NamedTuple):
    """A stretch of time, [start_ns, end_ns). Empty when both are equal."""

    start_ns: int
    end_ns: int

    @property
    def length_ns(self) -> int:
        """How long it is, in ns; never negative for a valid interval."""
        return self.end_ns - self.start_ns

    def overlap(self, other: Interval) -> Interval | None:
        """The part that both share, or None."""
        start, end = max(self.start_ns, other.start_ns), min(self.end_ns, other.end_ns)
        return Interval(start, end) if start < end else None


def from_datetime(moment: datetime) -> int:
    """An aware datetime as ns, exact to its microsecond.

    Raises ValueError for a naive datetime: a time without a zone is not a time.
    """
    if moment.tzinfo is None:
        msg = f"{moment.isoformat()} has no time zone; write it with Z or an offset"
        raise ValueError(msg)
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * NS_PER_S + delta.microseconds * 1000


def to_datetime(time_ns: int, zone: tzinfo = UTC) -> datetime:
    """The moment as an aware datetime; what is below a microsecond is dropped."""
    seconds, rest = divmod(time_ns, NS_PER_S)
    return datetime.fromtimestamp(seconds, tz=zone).replace(microsecond=rest // 1000)


def parse(text: str) -> int:
    """ISO 8601 with an offset or Z, up to nine decimals of a second, as ns.

    >>> parse("1970-01-01T00:00:01.000000007Z")
    1000000007

    Raises ValueError when the text is no such time or has no zone.
    """
    head, dot, tail = text.strip().partition(".")
    if not dot:
        return from_datetime(datetime.fromisoformat(head))
    digits = len(tail) - len(tail.lstrip("0123456789"))
    fraction = tail[:digits][:9].ljust(9, "0")
    return from_datetime(datetime.fromisoformat(head + tail[digits:])) + int(fraction or 0)


def iso(time_ns: int) -> str:
    """The moment in UTC as ISO 8601, with as many decimals as it needs in threes.

    >>> iso(1000000007)
    '1970-01-01T00:00:01.000000007Z'
    """
    seconds, rest = divmod(time_ns, NS_PER_S)
    text = datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")
    if not rest:
        return text + "Z"
    fraction = f"{rest:09d}"
    while fraction.endswith("000"):
        fraction = fraction[:-3]
    return f"{text}.{fraction}Z"


def end_of_day(text: str) -> int:
    """The moment at which a day ends, UTC. Raises ValueError in plain words for what is no day of this or the next century.

    >>> iso(end_of_day("2027-03-31"))
    '2027-04-01T00:00:00Z'
    """
    try:
        day = datetime.strptime(text.strip(), "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as error:
        msg = f"{text!r} is no date; write it as 2027-03-31"
        raise ValueError(msg) from error
    if not 1970 <= day.year < 2200:  # noqa: PLR2004  what nanoseconds hold, with room
        msg = f"{text!r} is no date that means anything; write it as 2027-03-31"
        raise ValueError(msg)
    return from_datetime(day) + NS_PER_DAY
