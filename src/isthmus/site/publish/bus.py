"""What a bus is: a place outside the house where every acknowledged frame and every record is published.

A bus is for the plant's own consumers, and for a second site or a centre that reads along. Nothing of
ours needs it: the site publishes from its own disk, with a mark of how far, so a bus that is down costs
neither speed nor data. Files in `buses/` are found by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final, NamedTuple, Protocol, cast

from msgspec import Meta

from isthmus.model.plant import Section
from isthmus.site.secret import Secret

READER: Final = "#bus"
"""Under this name frames come in that were read from a bus; they are never published again."""


class Lane(StrEnum):
    """The streams of a bus."""

    DICTIONARIES = "dictionaries"
    """What a source's tags are, by epoch; the newest of each stays for good."""
    FRAMES = "frames"
    """Every frame that an edge was acknowledged: the bytes of docs/formats/frame.md."""
    RECORDS = "records"
    """Every record of the site's log, as JSON."""


class Message(NamedTuple):
    """One message. `id` names its content for ever, so that a bus tells a repeat from news."""

    lane: Lane
    words: tuple[str, ...]
    """What it is about, the general before the particular: a bus filters by these."""
    id: str
    body: bytes


class Finding(NamedTuple):
    """One thing that was looked at on a bus; `refused` where the bus is not fit for it."""

    what: str
    refused: bool = False


class Delivery(Protocol):
    """One message that a bus handed out, until it is told that it may forget it."""

    body: bytes

    async def done(self) -> None:
        """It is on our disk."""
        ...

    async def refuse(self) -> None:
        """It can never be taken in: do not bring it again."""
        ...


class Bus(Protocol):
    """A connection to a bus, used by one task. Each verb raises BusAway when it cannot be reached.

    After BusAway it is closed and another is made: only the runner tries again.
    """

    async def open(self) -> Sequence[Finding]:
        """Connect, look whether it is fit, make its streams. Raises BusUnfit with what a person must mend."""
        ...

    async def publish(self, messages: Sequence[Message]) -> Sequence[Message]:
        """All are kept by the bus when this returns, but for those returned: too large for it."""
        ...

    async def kept_since(self, lane: Lane, time_ns: int) -> set[str]:
        """The ids of what came to a lane since then."""
        ...

    async def fetch(self, lane: Lane, most: int, wait_s: float) -> Sequence[Delivery]:
        """What is next for a reader, oldest first; nothing when nothing came in time."""
        ...

    async def close(self) -> None:
        """Let go of it, also when it is away."""
        ...


class BusSection(Section, frozen=True, kw_only=True, tag_field="kind", tag=True):
    """`[bus]`: what every bus has, whatever it is. Its own class adds the rest."""

    publish: Annotated[bool, Meta(description="true publishes every acknowledged frame and every record")] = True
    read: Annotated[
        tuple[str, ...], Meta(description="paths of plants whose frames this site takes in from the bus")
    ] = ()
    reader: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_-]+$", description="name under which the bus remembers how far was read")
    ] = "isthmus"
    keep_mb: Annotated[
        int, Meta(ge=64, description="largest size of what waits on disk for a bus that is down, MB")
    ] = 8192
    deadline_s: Annotated[float, Meta(gt=0, description="longest wait for one answer of the bus, s")] = 5.0
    retry_s: Annotated[float, Meta(gt=0, description="first wait after the bus went away, s")] = 0.25
    retry_most_s: Annotated[float, Meta(gt=0, description="longest wait between two tries, s")] = 5.0
    user: Annotated[str, Meta(description="name to log in with")] = ""
    password: Secret | None = None


class BusKind(Protocol):
    """What the own class of each bus adds to `BusSection`."""

    def open(self) -> Bus:
        """A connection to it, not opened yet."""
        ...


def connection(section: BusSection) -> Bus:
    """The connection to the bus of a plant file's `[bus]`, not opened yet."""
    return cast("BusKind", section).open()


def words_of(path: str) -> tuple[str, ...]:
    """A path as words.

    >>> words_of("acme/northgate#source/cnc-01")
    ('acme', 'northgate', '#source', 'cnc-01')
    """
    return tuple(word for word in path.replace("#", "/#").split("/") if word)
