"""Which IP address was seen behind which MAC address, and which of these the device itself claimed."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.addresses import ip_text, mac_text
from isthmus.assets.decode.capture import Window
from isthmus.assets.decode.columns import rows_at
from isthmus.assets.decode.headers import ARP, MAPPED, Headers
from isthmus.assets.decode.heard import Neighbour

_MOST: Final = 65_536
_ARP_BYTES: Final = 28
_ARP_ETHERNET_IPV4: Final = (0, 1, 8, 0, 6, 4)


class Neighbours:
    """ARP's claims, by IPv4 address and MAC address."""

    def __init__(self) -> None:
        self._claims: dict[tuple[int, int], list[int]] = {}

    def take(self, window: Window, found: Headers) -> None:
        """Hear the ARP of a window (RFC 826): each names its sender; probes from 0.0.0.0 claim nothing."""
        packets = np.flatnonzero((found.ether_type == ARP) & (found.payload_length >= _ARP_BYTES))
        if not len(packets):
            return
        rows = rows_at(window.data, found.l3[packets], _ARP_BYTES).astype(np.uint64)
        plain = (rows[:, :6] == np.array(_ARP_ETHERNET_IPV4, np.uint64)).all(1)
        mac, address = _number(rows[:, 8:14]), _number(rows[:, 14:18])
        keep = plain & (address != 0) & (mac != 0)
        packets, pairs = packets[keep], np.stack([address[keep], mac[keep]], 1)
        names, first, inverse, counts = np.unique(
            pairs, axis=0, return_index=True, return_inverse=True, return_counts=True
        )
        last = np.zeros(len(names), np.int64)
        np.maximum.at(last, inverse.ravel(), packets)
        for index, (ip, owner) in enumerate(names.tolist()):
            begin, end = int(packets[first[index]]), int(last[index])
            claim = self._claims.get((ip, owner))
            if claim is None:
                if len(self._claims) >= _MOST:
                    return
                claim = [window.first_frame + begin, int(window.time_ns[begin]), 0, 0]
                self._claims[ip, owner] = claim
            claim[2] = int(window.time_ns[end])
            claim[3] += int(counts[index])

    def all(self, rows: NDArray[Any]) -> list[Neighbour]:
        """Claims first, then what the headers of each direction's packets show."""
        out = [
            Neighbour(
                address=ip_text(0, MAPPED | ip), mac=mac_text(mac), first_frame=frame, first_ns=first, last_ns=last,
                packets=count, claimed=True,
            )
            for (ip, mac), (frame, first, last, count) in self._claims.items()
        ]  # fmt: skip
        ip = rows[(rows["protocol"] != 0) & (rows["source_mac"] != 0)]
        if not len(ip):
            return out
        names, first, inverse = np.unique(
            ip[["source_high", "source_low", "source_mac"]], return_index=True, return_inverse=True
        )
        packets, last = np.bincount(inverse, ip["packets"]).astype(np.int64), np.zeros(len(names), np.int64)
        begin = np.full(len(names), 2**62, np.int64)
        np.maximum.at(last, inverse, ip["last_ns"])
        np.minimum.at(begin, inverse, ip["first_ns"])
        for index in np.argsort(first).tolist()[:_MOST]:
            high, low, mac = (int(part) for part in names[index])
            out.append(
                Neighbour(
                    address=ip_text(high, low), mac=mac_text(mac), first_frame=int(ip["first_frame"][first[index]]),
                    first_ns=int(begin[index]), last_ns=int(last[index]), packets=int(packets[index]), claimed=False,
                )
            )  # fmt: skip
        return out


def _number(columns: NDArray[np.uint64]) -> NDArray[np.uint64]:
    out = np.zeros(len(columns), np.uint64)
    for index in range(columns.shape[1]):
        out = (out << np.uint64(8)) | columns[:, index]
    return out
