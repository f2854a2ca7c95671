"""Who may speak for which source: the edge that the plant file names, or the only edge there is.

A source without `edge` in the plant file is spoken for by the one edge that is enrolled; where several
are, nobody may until the plant file says who. A relay may speak for the sources of the edges that it
was enrolled for. What a person carries to the site's own door may be of any source: that person vouches.
What is read from a bus may be of any source but those of the site's own edges: the plant file vouches.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Final

from isthmus.model.equipment import beside, named
from isthmus.model.records import Record
from isthmus.model.records.site import SourceRefused
from isthmus.model.time import NS_PER_MINUTE
from isthmus.site.intake.certificates import BY_HAND, Member
from isthmus.site.publish.bus import READER
from isthmus.wire.frame import source_id
from isthmus.wire.link import EDGE_OWN, RELAY_OWN

_OWN: Final = source_id(EDGE_OWN)
_log: Final = logging.getLogger(__name__)


class Speakers:
    """The plant file's assignment, held against the register as it is at each question.

    `sources` gives each [[source]]'s `edge`, "" where it has none; `conduit` is the path refusals are told of.
    """

    def __init__(self, sources: Mapping[str, str], members: Callable[[], Mapping[str, Member]], conduit: str) -> None:
        self.conduit = conduit
        self._members = members
        self._assigned = {source_id(name): edge for name, edge in sources.items()}
        self._names = {source_id(name): name for name in sources}
        self._cases: dict[tuple[str, str], _Case] = {}
        self._lock = threading.Lock()

    def voice(self, peer: str) -> Voice:
        """What one peer may say, as of now. Raises UsageError when the register cannot be read."""
        return Voice(peer, self._members(), self._assigned, self._names)

    def tell(self, peer: str, source: int, why: str, frames: int, now_ns: int) -> list[Record]:
        """Count what was refused; the record to log, at once and then at most once a minute."""
        name = self._names.get(source, "")
        with self._lock:
            case = self._cases.setdefault((peer, name), _Case())
            case.frames += frames
            if now_ns - case.told_ns < NS_PER_MINUTE:
                return []
            _log.warning("link: %s: %s", peer, why)
            told = SourceRefused(
                path=self.conduit,
                time_ns=now_ns,
                ordinal=sorted(self._cases).index((peer, name)),
                edge=peer,
                source=name or f"{source:08x}",
                why=why,
                frames=case.frames,
            )
            case.told_ns, case.frames = now_ns, 0
        return [told]


class _Case:
    """One peer that speaks for one source that is not its own. All sources that nobody knows are one."""

    def __init__(self) -> None:
        self.told_ns = -NS_PER_MINUTE
        self.frames = 0


class Voice:
    """One peer's right to speak, for as long as one run of frames is looked at."""

    def __init__(
        self, peer: str, members: Mapping[str, Member], assigned: Mapping[int, str], names: Mapping[int, str]
    ) -> None:
        self._peer, self._assigned, self._names = peer, assigned, names
        self._edges = [name for name, member in members.items() if member.role == "edge" and name != BY_HAND]
        self._member = members.get(peer)

    def name_of(self, source: int) -> str:
        """The source's name, as far as the plant file has it."""
        return self._names.get(source, f"a source that the plant file does not have ({source:08x})")

    def refusal(self, source: int) -> str:
        """Why the peer may not speak for a source, with the mend; "" when it may."""
        peer, member = self._peer, self._member
        own = source == _OWN or source == source_id(RELAY_OWN + peer)
        if own or peer in (BY_HAND, READER):
            return self._refusal_of_bus(source) if peer == READER and not own else ""
        if member is None:
            return f"{peer} is not enrolled here, or was removed"
        name, owner = self.name_of(source), self._assigned.get(source, "")
        if not owner and len(self._edges) != 1:
            several = ", ".join(self._edges) or "none"
            return (
                f'{name} names no edge, and the enrolled edges are: {several}. Write edge = "..." in its [[source]] '
                "of the site's plant file, or remove the edge that is no more; then start the site again"
            )
        owner = owner or self._edges[0]
        if member.role == "relay":
            mend = f"give the relay a new code with --relay --edge {owner}"
            return (
                "" if owner in member.edges else f"{name} is of the edge {owner}, for which {peer} is no relay; {mend}"
            )
        if owner == peer:
            return ""
        return f"{name} is of the edge {owner} by the site's plant file, not of {peer}; mend edge in its [[source]]"

    def _refusal_of_bus(self, source: int) -> str:
        """What comes by a bus may be of any source but those of this site's own edges."""
        alone = self._edges[0] if source in self._names and len(self._edges) == 1 else ""
        owner = self._assigned.get(source, "") or alone
        if not owner:
            return ""
        return f"{self.name_of(source)} is of the edge {owner}, and what came by the bus says the same name; rename one"

    def may_say(self, record: Record, plant: str) -> bool:
        """Whether a fact may come from the peer: it is of a conduit of the plant, or of a source of its own."""
        source, conduit = named(record.path, "source"), named(record.path, "conduit")
        if self._peer == READER:  # of the plants that the plant file reads along with
            return conduit is not None or (source is not None and not self.refusal(source_id(source)))
        if conduit is not None:
            return record.path == beside(plant, "conduit", conduit)
        if source is None or record.path != beside(plant, "source", source):
            return False
        return not self.refusal(source_id(source))
