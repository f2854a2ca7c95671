"""Just enough of BER (ITU-T X.690) to walk a message: definite lengths, tags of one byte."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Node(NamedTuple):
    """A tag and its bytes."""

    tag: int
    value: bytes


def header(data: bytes) -> tuple[int, int]:
    """Length of the header and of the value of the first node; (0, 0) when it is none."""
    if len(data) < 2:  # noqa: PLR2004  tag and length
        return 0, 0
    size = data[1]
    if size < 0x80:  # noqa: PLR2004  the short form
        return 2, size
    count = size & 0x7F
    if not 1 <= count <= 4 or len(data) < 2 + count:  # noqa: PLR2004  more than 4 GB is no message
        return 0, 0
    return 2 + count, int.from_bytes(data[2 : 2 + count], "big")


def nodes(data: bytes, most: int = 256) -> Iterator[Node]:
    """The nodes that stand one after another; ends where they do not fit."""
    at = 0
    for _ in range(most):
        ahead, size = header(data[at:])
        if not ahead or at + ahead + size > len(data):
            return
        yield Node(data[at], data[at + ahead : at + ahead + size])
        at += ahead + size


def oid(value: bytes) -> str:
    """An object identifier with dots."""
    if not value:
        return ""
    parts = [min(value[0] // 40, 2), value[0] - 40 * min(value[0] // 40, 2)]
    number = 0
    for byte in value[1:]:
        number = (number << 7) | (byte & 0x7F)
        if not byte & 0x80:
            parts.append(number)
            number = 0
    return ".".join(str(part) for part in parts)
