"""What a protocol file of `protocols/` is: its frames, and in which order a device is asked them.

A conversation is a generator without I/O. It yields what to ask and is given the answer's bytes. It knows
frames by name only, so an answer cannot make it send anything that is not on the list.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Literal, NamedTuple, Protocol

from isthmus.edge.identify.config import Approval
from isthmus.edge.identify.frames import Frame


class Ask(NamedTuple):
    """One request."""

    frame: Frame
    values: Mapping[str, int | bytes] = {}
    answered: bool = True
    """False where nothing comes back."""
    needs: int = 1
    """How many requests, this one among them, must fit to be worth beginning."""
    goodbye: bool = False
    """Sent also when the frames for questions are used up: FAREWELL keeps some for it."""


class NoRoom(Exception):
    """Thrown into a conversation when its frames are used up: it may still say goodbye."""


Talk = Generator[Ask, bytes, None]


class Asking(Protocol):
    """One protocol. A file of protocols/ with these names is one; nothing else is edited."""

    NAME: str
    OVER: Literal["tcp", "udp"]
    PORT: int
    PAUSE_S: float
    """Rest before each further request."""
    FAREWELL: int
    """Frames of the goodbye on the wire, to be kept free for it."""
    FRAMES: tuple[Frame, ...]

    def whole(self, data: bytes) -> int:
        """How long the message at the beginning of `data` is; 0 while too little is there to tell.

        Raises ValueError for what is none of this protocol.
        """
        ...

    def talk(self, approval: Approval, near: str) -> Talk:
        """The conversation; `near` is our own address.

        Raises ValueError, IndexError or struct.error for an answer that makes no sense.
        """
        ...
