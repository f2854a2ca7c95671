"""A conduit that the audit proposes, as the section of the plant file that declares it (IEC 62443-3-2).

The text can be pasted as it is; who answers for the conduit, and until when, only a person can say. What the
plant file would refuse is not proposed: a way into the safety zone, and one that is opened from further out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from isthmus.assets.addresses import Places
from isthmus.model.zones import ZoneKind, dials_inwards

_LONGEST_NAME = 60


def conduit(  # noqa: PLR0913  what a section holds
    places: Places, *, name: str, initiator: str, responder: str, protocols: Iterable[str], purpose: str
) -> str:
    """The `[[conduit]]` section; "" where none may be declared."""
    if not _may_be(places, initiator, responder):
        return ""
    listed = sorted({one for one in protocols if one})
    any_of_them = "" if listed else "  # name them: an empty list lets everything through"
    return "\n".join(
        (
            "[[conduit]]",
            f"name = {_quoted(_slug(name))}",
            f"initiator = {_quoted(initiator)}",
            f"responder = {_quoted(responder)}",
            f"protocols = [{', '.join(_quoted(one) for one in listed)}]{any_of_them}",
            f"purpose = {_quoted(purpose)}" + ("" if purpose else "  # why it exists, in one sentence"),
            'owner = ""  # the person who answers for it',
            "# review = 2027-06-30  # the day by which it is looked at again",
            "",
        )
    )


def _may_be(places: Places, initiator: str, responder: str) -> bool:
    opens, dialled = places.kind(initiator), places.kind(responder)
    if initiator == responder or ZoneKind.SAFETY in (opens, dialled):
        return False
    return opens is None or dialled is None or not dials_inwards(opens, dialled)


def supervisory(places: Places, responder: str) -> str:
    """The zone that may open ways to the others: the plant file's supervisory one, or that of plants that name none."""
    named = [zone for zone, kind in places.kinds.items() if kind is ZoneKind.SUPERVISORY and zone != responder]
    return min(named, default="supervisory")


def _slug(text: str) -> str:
    """A name as plant files have it: cnc-01-s7comm."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_LONGEST_NAME].strip("-") or "proposed"


def _quoted(text: str) -> str:
    """A basic string of TOML; what devices and documents call themselves is not trusted to be printable."""
    return json.dumps("".join(sign if sign.isprintable() else " " for sign in text), ensure_ascii=False)
