"""What may be sent: frames whose every byte is written down here, but for named holes with their limits.

A conversation names a frame and gives the holes their values; only `Frame.fill` makes bytes. So nothing
can be sent that is not on the list, whatever a device answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

Order = Literal["little", "big"]


class Number(NamedTuple):
    """A number of `size` bytes that differs from time to time: a session handle, a slot."""

    name: str
    size: int
    order: Order
    least: int = 0
    most: int = -1
    """-1: as much as the bytes hold."""


class Text(NamedTuple):
    """Bytes of up to `most`, perhaps behind their own length; for what a device gave us to say again."""

    name: str
    most: int
    prefix: int = 0
    """Bytes of the length before it; 0 for none."""
    order: Order = "little"


class Size(NamedTuple):
    """The length of the whole frame plus `add`."""

    size: int
    order: Order
    add: int = 0


Part = bytes | Number | Text | Size


class Frame(NamedTuple):
    """One request of the list."""

    name: str
    """In the words of its standard."""
    clause: str
    """Where the standard says that it only reads."""
    parts: tuple[Part, ...]

    def fill(self, values: Mapping[str, int | bytes]) -> bytes:
        """The bytes. Raises ValueError for a value that its hole does not take."""
        out = [self._part(part, values) for part in self.parts]
        whole = sum(len(part) for part in out)
        for index, part in enumerate(self.parts):
            if isinstance(part, Size):
                out[index] = (whole + part.add).to_bytes(part.size, part.order)
        return b"".join(out)

    def _part(self, part: Part, values: Mapping[str, int | bytes]) -> bytes:
        if isinstance(part, bytes):
            return part
        if isinstance(part, Size):
            return bytes(part.size)
        value = values[part.name]
        if isinstance(part, Number) and isinstance(value, int):
            most = part.most if part.most >= 0 else (1 << 8 * part.size) - 1
            if part.least <= value <= most:
                return value.to_bytes(part.size, part.order)
        elif isinstance(part, Text) and isinstance(value, bytes) and len(value) <= part.most:
            return (len(value).to_bytes(part.prefix, part.order) if part.prefix else b"") + value
        msg = f"{self.name}: {value!r} does not fit its place {part.name}"
        raise ValueError(msg)

    def fits(self, data: bytes) -> bool:
        """Whether these bytes are this frame with some values in its holes."""
        names = [part for part in self.parts if not isinstance(part, bytes)]
        shape = b"".join(_shape(part) for part in self.parts)
        found = re.fullmatch(shape, data, re.DOTALL)
        return found is not None and all(
            _fits(part, value, len(data)) for part, value in zip(names, found.groups(), strict=True)
        )


def _shape(part: Part) -> bytes:
    if isinstance(part, bytes):
        return re.escape(part)
    if isinstance(part, Text):
        return b"(.{%d,%d})" % (part.prefix, part.prefix + part.most)
    return b"(.{%d})" % part.size


def _fits(part: Part, value: bytes, whole: int) -> bool:
    if isinstance(part, Size):
        return int.from_bytes(value, part.order) == whole + part.add
    if isinstance(part, Number):
        return part.least <= int.from_bytes(value, part.order) and (
            part.most < 0 or int.from_bytes(value, part.order) <= part.most
        )
    if isinstance(part, Text) and part.prefix:
        return int.from_bytes(value[: part.prefix], part.order) == len(value) - part.prefix
    return True
