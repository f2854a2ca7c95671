"""The picking: few packets of each window are read deep, chosen by content; the rest is only counted.

A direction is named by the first of its payloads that a decoder knows. From then on that decoder looks
at all of its packets at once (`kinds`) and says which to read. Everything that is kept has a bound, and
what a bound left out is told.
"""

from __future__ import annotations

import struct
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.addresses import ip_text, mac_text
from isthmus.assets.decode.capture import Window
from isthmus.assets.decode.columns import rows_at
from isthmus.assets.decode.conversations import conversations
from isthmus.assets.decode.flows import Directions, Sorted
from isthmus.assets.decode.found import decoders, hinted, recognise
from isthmus.assets.decode.headers import TCP, UDP, Headers, headers
from isthmus.assets.decode.heard import Heard, Neighbour
from isthmus.assets.decode.labels import Labels
from isthmus.assets.decode.neighbours import Neighbours
from isthmus.assets.decode.said import LEAD, Look, Packet, Said
from isthmus.assets.decode.sayings import Sayings
from isthmus.assets.decode.streams import Fragments, Streams, Waiting

_TRIES: Final = 6
"""Payloads of a direction that are shown to every decoder before it stays unnamed."""
_FEW, _MANY, _THEN = 4, 1024, 16
"""Messages read of a positive kind; of a negative kind, until only each _THEN-th is."""
_MOST_KINDS, _MOST_ASKED, _ASKED_BYTES = 200_000, 20_000, 512
_MOST_BEFORE, _LONGEST_BEFORE = 4096, 2048
"""Messages remembered so that the same again need not be read again, and their bytes."""
_MOST_MESSAGES = 64
"""Messages read out of one packet."""
_WITHIN: Final = (
    np.where(np.arange(LEAD) < np.arange(LEAD + 1)[:, None], 0xFF, 0).astype(np.uint8).view(f"V{LEAD}").ravel()
)
"""By length of a payload, ones over its bytes and zeros behind them, as one element of LEAD bytes; shape (LEAD + 1,)."""


class _Seen:
    """What is in hand of one window."""

    def __init__(self, window: Window, found: Headers, by: Sorted) -> None:
        self.window, self.found, self.direction, self.rank = window, found, by.direction, by.rank
        self.used: set[int] = set()
        self._by, self._bytes = by, window.data.data
        self._places: dict[int, int] | None = None

    def payload(self, packet: int) -> bytes:
        start = self.found.payload.item(packet)
        return bytes(self._bytes[start : start + self.found.payload_length.item(packet)])

    def of(self, direction: int) -> NDArray[np.int64]:
        """The packets of a direction in their order."""
        if self._places is None:
            self._places = {row: place for place, row in enumerate(self._by.rows.tolist())}
        place = self._places.get(direction, -1)
        if place < 0:
            return self._by.order[:0].astype(np.int64)
        end = self._by.begins[place + 1] if place + 1 < len(self._by.begins) else len(self._by.order)
        return self._by.order[self._by.begins[place] : end].astype(np.int64)


class _Ends(NamedTuple):
    """What of a direction stands in each of its packets, as text."""

    source: str
    target: str
    source_mac: str
    target_mac: str
    ether_type: int
    protocol: int
    source_port: int
    target_port: int


class _Before(NamedTuple):
    """A message that was read: in the same words, from the same side and behind the same question it says the same."""

    payload: bytes
    asks: bool
    asked: bytes
    said: list[Said]


class Ear:
    """Listens to windows one after another."""

    def __init__(self) -> None:
        self._directions = Directions()
        self._labels = Labels()
        self._streams, self._fragments = Streams(), Fragments()
        self._sayings, self._neighbours = Sayings(), Neighbours()
        self._kinds: dict[int, int] = {}
        self._asked: dict[int, bytes] = {}
        self._before: dict[tuple[int, int, int], _Before] = {}
        self._ends: dict[int, _Ends] = {}
        self._certain: dict[int, bool] = {}
        self._packets = self._skipped = self._faults = self._kinds_lost = 0
        self._first_ns, self._last_ns = 2**63 - 1, 0

    def take(self, window: Window) -> None:
        """Listen to one window."""
        found = headers(window)
        seen = _Seen(window, found, self._directions.add(window, found))
        self._packets += len(window.at)
        self._first_ns = min(self._first_ns, int(window.time_ns.min()))
        self._last_ns = max(self._last_ns, int(window.time_ns.max()))
        self._labels.grow(len(self._directions.rows))
        self._neighbours.take(window, found)
        payload = (found.payload_length > 0) & (seen.direction >= 0) & ~found.fragment
        self._name(seen, payload)
        self._go_on(seen)
        for packet, decoder, key in self._pick(seen, payload):
            if packet not in seen.used:
                self._read_packet(seen, packet, decoder, key)
        self._read_wholes(seen)

    def heard(self, told: list[str]) -> Heard:
        """All that was said so far."""
        rows = self._directions.rows
        talks, lost = conversations(rows, self._directions.opposite, self._labels)
        for count, sentence in (
            (self._directions.not_kept, "{} packets belong to more conversations than are kept"),
            (lost, "{} conversations more than are kept; the smallest were left out"),
            (self._streams.given_up + len(self._streams), "{} messages over several TCP segments are not complete"),
            (self._fragments.unfinished, "{} IP datagrams lack a fragment"),
            (self._skipped, "{} messages that say who a device is were passed over, after many from the same sender"),
            (self._kinds_lost, "{} packets carry more kinds of messages than are counted"),
            (self._faults, "{} messages do not keep to their protocol"),
            (self._sayings.lost, "{} statements more than are kept"),
        ):
            if count:
                told.append(sentence.format(count))
        if not self._packets and not told:
            told.append("it holds no packet")
        return Heard(
            identities=self._sayings.identities,
            uses=self._sayings.uses,
            exposures=self._sayings.exposures,
            conversations=talks,
            neighbours=self._neighbours.all(rows),
            told=told,
            packets=self._packets,
            first_ns=self._first_ns if self._packets else 0,
            last_ns=self._last_ns,
        )

    @property
    def directions(self) -> int:
        """How many directions of conversations are kept now."""
        return len(self._directions.rows)

    def forget(self, before_ns: int) -> Heard:
        """Forget conversations that were silent since, to make room; gives what they said as conversations.

        All that devices said of themselves stays.
        """
        rows, opposite = self._directions.rows, self._directions.opposite
        keep = rows["last_ns"] >= before_ns
        keep |= (opposite >= 0) & keep[opposite]
        moved = np.where(~keep, np.cumsum(~keep) - 1, -1)
        theirs = np.where(opposite[~keep] >= 0, moved[opposite[~keep]], -1)
        talks, _ = conversations(rows[~keep], theirs, self._labels.of(~keep))
        gone = Heard(
            identities=[], uses=[], exposures=[], conversations=talks, neighbours=_passing(rows[~keep]), told=[],
            packets=0, first_ns=0, last_ns=0,
        )  # fmt: skip
        self._labels = self._labels.of(keep)
        self._move(self._directions.forget(keep))
        return gone

    def _move(self, moved: NDArray[np.int64]) -> None:
        """Directions have new numbers."""

        def kind(key: int) -> int:
            new = int(moved[key >> 32])
            return -1 if new < 0 else (new << 32) | (key & 0xFFFFFFFF)

        self._streams.move(moved)
        self._fragments.move(moved)
        self._sayings.move(kind)
        self._kinds = {new: count for key, count in self._kinds.items() if (new := kind(key)) >= 0}
        self._asked = {new: text for old, text in self._asked.items() if (new := int(moved[old])) >= 0}
        self._before.clear()
        self._ends.clear()
        self._certain.clear()

    def _name(self, seen: _Seen, payload: NDArray[np.bool_]) -> None:
        """Show the first payloads of directions without a name to the decoders."""
        unnamed = self._labels.decoder[seen.direction] < 0
        for packet in np.flatnonzero(payload & unnamed & (seen.rank < _TRIES)).tolist():
            direction = int(seen.direction[packet])
            if self._labels.decoder[direction] >= 0:
                continue
            row = self._directions.rows[direction]
            transport = _transport(row)
            ports = (int(row["target_port"]), int(row["source_port"]))
            if transport == "l2":
                ports = (int(seen.found.ether_type[packet]), 0)
            number = recognise(transport, ports, seen.payload(packet)) if transport else -1
            if number >= 0:
                self._labels.set(direction, number, int(self._directions.opposite[direction]))
            elif seen.rank[packet] == _TRIES - 1 and transport in {"tcp", "udp"}:
                hints = hinted(transport, ports[0]) or hinted(transport, ports[1])
                if hints:
                    self._labels.guess(direction, hints[0])

    def _go_on(self, seen: _Seen) -> None:
        """Continue what an earlier window left unfinished."""
        for direction in self._streams.directions:
            self._follow(seen, direction, seen.of(direction))

    def _pick(self, seen: _Seen, payload: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
        """Which packets to read, in their order, each with its decoder and its key.

        The others are counted to what their key said.
        """
        packets, kinds = self._look(seen, payload)
        if not len(packets):
            return []
        direction = seen.direction[packets]
        order = _sorting(kinds - kinds.min())
        order = order[_sorting(direction[order])]
        packets, keys = packets[order], (direction[order] << 32) | (kinds[order] & 0xFFFFFFFF)
        begins = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        ends = np.append(begins[1:], len(keys))
        last = packets[ends - 1]
        out: list[tuple[int, int, int]] = []
        columns = (
            begins,
            ends,
            keys[begins],
            self._labels.decoder[keys[begins] >> 32],
            last,
            seen.window.time_ns[last],
        )
        for begin, end, key, decoder, frame, time_ns in zip(*(each.tolist() for each in columns), strict=True):
            out += [(packet, decoder, key) for packet in self._few(key, packets[begin:end])]
            if key & (1 << 31) == 0:
                self._sayings.count(key, end - begin, seen.window.first_frame + frame, time_ns)
        out.sort()
        return out

    def _look(self, seen: _Seen, payload: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The packets that are of interest to their decoder, and of which kind each is."""
        found, spoken = seen.found, self._labels.decoder[seen.direction]
        packets = np.flatnonzero(payload & (spoken >= 0))
        if not len(packets):
            return packets, packets
        packets = packets[_sorting(spoken[packets])]
        length = found.payload_length[packets]
        lead = rows_at(seen.window.data, found.payload[packets], LEAD)
        words = lead.view(np.uint64)
        words &= _WITHIN[np.minimum(length, LEAD)].view(np.uint64).reshape(words.shape)
        source_port, target_port = found.source_port[packets], found.target_port[packets]
        kinds, begin = np.zeros(len(packets), np.int64), 0
        for number, count in enumerate(np.bincount(spoken[packets]).tolist()):
            part = slice(begin, begin + count)
            if count:
                look = Look(lead[part], length[part], source_port[part], target_port[part])
                kinds[part] = decoders()[number].kinds(look)
            begin += count
        at = np.flatnonzero(kinds)
        return packets[at], kinds[at]

    def _few(self, key: int, packets: NDArray[np.int64]) -> list[int]:
        """Those of one kind that are read."""
        before = self._kinds.get(key, -1)
        if before < 0:
            if len(self._kinds) >= _MOST_KINDS:
                self._kinds_lost += len(packets)
                return []
            before = 0
        self._kinds[key] = before + len(packets)
        if key & (1 << 31) == 0:
            return packets[: _FEW - before].tolist() if before < _FEW else []
        if before + len(packets) > _MANY:
            number = np.arange(before, before + len(packets))
            read = (number < _MANY) | (number % _THEN == 0)
            self._skipped += int((~read).sum())
            packets = packets[read]
        return packets.tolist()

    def _read_packet(self, seen: _Seen, packet: int, decoder: int, key: int) -> None:
        payload, direction = seen.payload(packet), seen.direction.item(packet)
        if self._again(seen, packet, direction, decoder, key, payload):
            return
        if seen.found.protocol[packet] != TCP:
            if decoders()[decoder].length(payload) > 0:
                self._read(seen, packet, direction, decoder, key, payload)
            return
        self._read_stream(seen, packet, decoder, key, payload, int(seen.found.tcp_seq[packet]))

    def _read_stream(  # noqa: PLR0913, PLR0917  where it stands, and as what
        self, seen: _Seen, packet: int, decoder: int, key: int, payload: bytes, seq: int
    ) -> None:
        """Every message that begins in a packet; the last may need segments to come."""
        direction, at = int(seen.direction[packet]), 0
        for _ in range(_MOST_MESSAGES):
            need = decoders()[decoder].length(payload[at:]) if at < len(payload) else 0
            if need <= 0:
                return
            if at + need > len(payload):
                if self._streams.begin(direction, Waiting(key, payload[at:], seq + at, need)):
                    packets = seen.of(direction)
                    self._follow(seen, direction, packets[np.searchsorted(packets, packet, "right") :])
                return
            self._read(seen, packet, direction, decoder, key, payload[at : at + need])
            at += need

    def _follow(self, seen: _Seen, direction: int, packets: NDArray[np.int64]) -> None:
        """Feed a direction's packets to the message that waits there."""
        decoder = int(self._labels.decoder[direction])
        for packet in packets.tolist():
            waiting = self._streams.get(direction)
            if waiting is None or decoder < 0:
                return
            part = seen.payload(packet)
            if not part:
                continue
            seen.used.add(packet)
            if waiting.feed(int(seen.found.tcp_seq[packet]), part):
                self._streams.end(direction)
                self._read_stream(seen, packet, decoder, waiting.key, bytes(waiting.held), waiting.seq)
                return

    def _read_wholes(self, seen: _Seen) -> None:
        """Read datagrams that came in fragments."""
        for whole in self._fragments.take(seen.window, seen.found, seen.direction):
            if whole.direction < 0:
                continue
            row = self._directions.rows[whole.direction]
            if row["protocol"] != UDP:
                continue
            payload, decoder = whole.data[8:], int(self._labels.decoder[whole.direction])
            if decoder < 0:
                decoder = recognise("udp", (int(row["target_port"]), int(row["source_port"])), payload)
                if decoder < 0:
                    continue
                self._labels.set(whole.direction, decoder, int(self._directions.opposite[whole.direction]))
            if decoders()[decoder].length(payload) > 0:
                self._read(seen, whole.packet, whole.direction, decoder, -1, payload)

    def _read(  # noqa: PLR0913, PLR0917  where it stands, and as what
        self, seen: _Seen, packet: int, direction: int, decoder: int, key: int, payload: bytes
    ) -> None:
        """Let the decoder read one message, unless it is known what it says."""
        if self._again(seen, packet, direction, decoder, key, payload):
            return
        opposite = self._directions.other(direction)
        ends = self._ends.get(direction) or self._ends_of(direction)
        asks, asked = self._asks(direction, opposite, decoder), self._asked.get(opposite, b"")
        frame, time_ns = seen.window.first_frame + packet, seen.window.time_ns.item(packet)
        given = Packet(frame, time_ns, *ends, payload, asks, asked)
        try:
            said = list(decoders()[decoder].read(given))
        except (IndexError, ValueError, struct.error):
            self._faults += 1
            return
        if said:
            self._labels.sure(direction)
        if said and not self._labels.roles[direction] and decoders()[decoder].TELLS:
            self._labels.role(direction, opposite, given, said)
        self._sayings.add(said, -1 if key & (1 << 31) else key)
        if len(payload) <= _LONGEST_BEFORE:
            if len(self._before) >= _MOST_BEFORE:
                del self._before[next(iter(self._before))]
            self._before[direction, key, len(payload)] = _Before(payload, asks, asked, said)
        self._remember(direction, payload)

    def _again(  # noqa: PLR0913, PLR0917  where it stands, and as what
        self, seen: _Seen, packet: int, direction: int, decoder: int, key: int, payload: bytes
    ) -> bool:
        """Whether a message was read before, from the same side and behind the same question; it is kept then."""
        before = self._before.get((direction, key, len(payload)))
        if before is None or before.payload != payload:
            return False
        opposite = self._directions.other(direction)
        if before.asked != self._asked.get(opposite, b"") or before.asks != self._asks(direction, opposite, decoder):
            return False
        again = (seen.window.first_frame + packet, seen.window.time_ns.item(packet))
        self._sayings.add(before.said, -1 if key & (1 << 31) else key, again)
        self._remember(direction, payload)
        return True

    def _remember(self, direction: int, payload: bytes) -> None:
        """The other side's next message may answer this one."""
        if len(self._asked) >= _MOST_ASKED:
            del self._asked[next(iter(self._asked))]
        self._asked[direction] = payload[:_ASKED_BYTES]

    def _ends_of(self, direction: int) -> _Ends:
        row = self._directions.rows[direction]
        ip = bool(row["protocol"])
        if len(self._ends) >= _MOST_ASKED:
            self._ends.clear()
        ends = self._ends[direction] = _Ends(
            ip_text(int(row["source_high"]), int(row["source_low"])) if ip else "",
            ip_text(int(row["target_high"]), int(row["target_low"])) if ip else "",
            mac_text(int(row["source_mac"])),
            mac_text(int(row["target_mac"])),
            int(row["ether_type"]),
            int(row["protocol"]),
            int(row["source_port"]),
            int(row["target_port"]),
        )
        return ends

    def _asks(self, direction: int, opposite: int, decoder: int) -> bool:
        """Whether the sender of a direction is the client, as far as is known now."""
        certain = self._certain.get(direction)
        if certain is not None:
            return certain
        rows = self._directions.rows
        row, role = rows[direction], int(self._labels.roles[direction])
        back = opposite >= 0
        opened = bool(row["opened"] or (back and rows[opposite]["accepted"]))
        accepted = bool(row["accepted"] or (back and rows[opposite]["opened"]))
        if opened or accepted or role:
            if len(self._certain) >= _MOST_ASKED:
                self._certain.clear()
            self._certain[direction] = opened or (not accepted and role > 0)
            return self._certain[direction]
        ports = decoders()[decoder].PORTS
        to_known, from_known = int(row["target_port"]) in ports, int(row["source_port"]) in ports
        if to_known != from_known:
            return to_known
        if row["target_port"] != row["source_port"]:
            return bool(row["target_port"] < row["source_port"])
        return not back or direction < opposite


def _passing(rows: NDArray[np.void]) -> list[Neighbour]:
    """Which addresses were seen behind which cards in these directions."""
    return Neighbours().all(rows)


def _sorting(numbers: NDArray[Any]) -> NDArray[np.intp]:
    """The order that sorts them, equal ones as they stood; small numbers are sorted in one go over their digits."""
    return np.argsort(numbers.astype(np.uint16) if int(numbers.max()) < 1 << 16 else numbers, kind="stable")


def _transport(row: NDArray[np.void]) -> str:
    """What a decoder's OVER calls it."""
    return {0: "l2", TCP: "tcp", UDP: "udp"}.get(int(row["protocol"]), "")
