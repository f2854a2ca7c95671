"""What is known of each direction: which protocol it speaks, by what it is known, and who asks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.said import Identity, Packet, Said

_GROWTH: Final = 4096


class Labels:
    """Columns beside the table of directions; -1 in `decoder` for none yet."""

    def __init__(self) -> None:
        self.decoder = np.full(_GROWTH, -1, np.int16)
        self.content = np.zeros(_GROWTH, bool)
        """Known by content; else by port alone."""
        self.roles = np.zeros(_GROWTH, np.int8)
        """1 when its messages ask, -1 when they answer, 0 when nothing told."""

    def grow(self, size: int) -> None:
        """Make room for so many directions."""
        while size > len(self.decoder):
            more = len(self.decoder)
            self.decoder = np.concatenate([self.decoder, np.full(more, -1, np.int16)])
            self.content = np.concatenate([self.content, np.zeros(more, bool)])
            self.roles = np.concatenate([self.roles, np.zeros(more, np.int8)])

    def of(self, keep: NDArray[np.bool_]) -> Labels:
        """Those of these directions alone, in their order."""
        out, size = Labels(), int(keep.sum())
        out.grow(size)
        for name in ("decoder", "content", "roles"):
            getattr(out, name)[:size] = getattr(self, name)[: len(keep)][keep]
        return out

    def set(self, direction: int, decoder: int, opposite: int) -> None:
        """Content told the protocol; the answers speak it too."""
        self.decoder[direction], self.content[direction] = decoder, True
        if opposite >= 0 and self.decoder[opposite] < 0:
            self.decoder[opposite] = decoder

    def guess(self, direction: int, decoder: int) -> None:
        """The port hints at a protocol; its decoder may look at what comes."""
        self.decoder[direction] = decoder

    def sure(self, direction: int) -> None:
        """A message of the protocol was read."""
        self.content[direction] = True

    def role(self, direction: int, opposite: int, packet: Packet, said: Iterable[Said]) -> None:
        """Learn from what a message said who asks."""
        for one in said:
            if isinstance(one, Identity):
                continue
            if one.client != one.server:
                asks = one.client == (packet.source or packet.source_mac)
            elif packet.source_port != packet.target_port:
                asks = one.port == packet.target_port
            else:
                continue
            self.roles[direction] = 1 if asks else -1
            if opposite >= 0:
                self.roles[opposite] = -self.roles[direction]
            return
