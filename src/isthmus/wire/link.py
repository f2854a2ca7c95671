"""The words of the link: what the site answers, and the paths that it answers on.

HTTPS with mutual TLS; the edge always dials. The edge POSTs a run of frames to FRAMES; the answer
is an `Answer` as JSON. Nothing else flows towards OT: acknowledged numbers, one bit that can only
close the conduit, and a renewed certificate for the key that the edge already holds.
"""

from __future__ import annotations

from typing import Final

import msgspec

FRAMES: Final = "/v1/frames"
ENROL: Final = "/v1/enrol"
CONTENT_TYPE: Final = "application/vnd.isthmus.frames"
VERSION_HEADER: Final = "isthmus-link"
VERSION: Final = "1"
MAX_BODY: Final = 8 * 1024 * 1024
"""Largest body an edge sends and a site takes, in bytes; a single larger frame goes alone."""


EDGE_OWN: Final = "_edge"
"""The source under which every edge sends its own records; no [[source]] can be called so."""
RELAY_OWN: Final = "_relay."
"""The same of a relay, followed by its name."""


class Acknowledged(msgspec.Struct, frozen=True):
    """Every frame of (source, epoch) up to and with `seq` is on the site's disk."""

    source: int
    epoch: int
    seq: int


class Refused(msgspec.Struct, frozen=True):
    """Frames of this source are not taken from this peer; the rest of the run was."""

    source: int
    why: str
    """In words, with the mend."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the site says to a run of frames."""

    acknowledged: tuple[Acknowledged, ...] = ()
    refused: tuple[Refused, ...] = ()
    """Sources for which this peer may not speak. It keeps their frames and asks seldom."""
    cut: bool = False
    """True closes the conduit on the OT side. Opening it again is a local act of two people there."""
    certificate: str = ""
    """PEM of a renewed certificate for the key the edge holds, "" when none is due."""


class Authority(msgspec.Struct, frozen=True):
    """Who vouches for this plant's certificates; the one-time code says which authority is the true one."""

    ca: str


class EnrolRequest(msgspec.Struct, frozen=True):
    """A first contact: the one-time code's secret part, and a signing request for a key that stays where it is."""

    secret: str
    request: str


class Enrolled(msgspec.Struct, frozen=True):
    """What a first contact brings home."""

    name: str
    certificate: str
    ca: str
