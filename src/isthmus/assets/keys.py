"""By what a device is known again: cleaned makers, serials that are serials, values that are values.

A key says "this is that device" by itself. A MAC address never does: a router's stands before thirty
devices, a machine moves to another card. Fillers ("AAAA", all zeros, "unknown") are no values.
"""

from __future__ import annotations

import re
from typing import Final

_LEGAL: Final = re.compile(
    r"\b(inc|incorporated|corp|corporation|co|company|ltd|limited|llc|gmbh|ag|sa|se|kg|plc|bv|nv|oy|ab|spa|srl|"
    r"systems|technologies|technology|automation|electric|industrial|international|group)\b\.?"
)
_SAME: Final = (
    ("allen", "rockwell"),
    ("rockwell", "rockwell"),
    ("siemens", "siemens"),
    ("schneider", "schneider"),
    ("modicon", "schneider"),
    ("telemecanique", "schneider"),
    ("mitsubishi", "mitsubishi"),
    ("omron", "omron"),
    ("beckhoff", "beckhoff"),
    ("phoenix", "phoenix"),
    ("cisco", "cisco"),
    ("hirschmann", "hirschmann"),
    ("johnson controls", "johnson controls"),
    ("jci", "johnson controls"),
    ("abb", "abb"),
    ("emerson", "emerson"),
    ("rosemount", "emerson"),
    ("honeywell", "honeywell"),
    ("wago", "wago"),
    ("moxa", "moxa"),
    ("prosoft", "prosoft"),
)
"""A word of the maker's name and the one name for it; brands of one house are one maker."""
_NOTHING: Final = frozenset({"unknown", "none", "n/a", "na", "null", "-", "?", "not available", "default", "0.0.0.0"})  # noqa: S104  a filler, not an address to bind
_SHORTEST_SERIAL: Final = 4
_FILLED: Final = 4


def meaningful(value: str) -> str:
    """The value without what only fills space; "" where nothing is left.

    >>> meaningful("  1756-ENBT/A ")
    '1756-ENBT/A'
    >>> meaningful("AAAAAAAA"), meaningful("00:00:00:00"), meaningful("unknown")
    ('', '', '')
    """
    text = " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", value).split())
    bare = re.sub(r"[\s:._/-]", "", text)
    if text.lower() in _NOTHING or (len(bare) >= _FILLED and len(set(bare)) == 1):
        return ""
    return text


def maker_key(maker: str) -> str:
    """One name for the many spellings of a maker.

    >>> maker_key("Rockwell Automation/Allen-Bradley") == maker_key("Allen-Bradley")
    True
    >>> maker_key("Siemens AG")
    'siemens'
    """
    text = re.sub(r"[^a-z0-9 ]", " ", meaningful(maker).lower())
    for word, one in _SAME:
        if re.search(rf"\b{word}", text):
            return one
    return " ".join(_LEGAL.sub(" ", text).split())


def serial_key(serial: str) -> str:
    """A serial as a key; "" when it is too short or a filler.

    >>> serial_key("S C-C6TW74882012")
    'scc6tw74882012'
    >>> serial_key("0")
    ''
    """
    text = re.sub(r"[^a-z0-9]", "", meaningful(serial).lower())
    return text if len(text) >= _SHORTEST_SERIAL and set(text) != {"0"} else ""


def squeezed(text: str) -> str:
    """Letters and digits alone, for order numbers.

    >>> squeezed("6ES7 315-2EH14-0AB0")
    '6ES73152EH140AB0'
    """
    return re.sub(r"[^A-Z0-9]", "", text.upper())
