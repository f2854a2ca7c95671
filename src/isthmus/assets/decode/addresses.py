"""Addresses of the header pass, as numbers, in the text that people read."""

from __future__ import annotations

from functools import lru_cache

from isthmus.assets.decode.headers import MAPPED

_FOUR = 0xFFFFFFFF


@lru_cache(maxsize=65536)
def ip_text(high: int, low: int) -> str:
    """An address of two 64-bit halves; IPv4 is kept as IPv4-mapped."""
    if high == 0 and low & ~_FOUR == MAPPED:
        return ".".join(str(part) for part in (low & _FOUR).to_bytes(4, "big"))
    import ipaddress  # noqa: PLC0415  few captures hold IPv6, and each start would pay for it

    return str(ipaddress.IPv6Address((high << 64) | low))


@lru_cache(maxsize=65536)
def mac_text(number: int) -> str:
    """Six bytes with colons; "" for none, which is what links without MAC addresses have."""
    return ":".join(f"{part:02x}" for part in number.to_bytes(6, "big")) if number else ""
