"""The record for other tools: plain rows, and CycloneDX with a component per device.

A redacted export has no address, MAC, serial, firmware or port: what is needed to tell two devices apart
is hashed with a secret that stays in the audit's folder. Source: CycloneDX 1.6.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from isthmus.model.inventory import ATTRIBUTES, SENSITIVE
from isthmus.model.records.assets import AssetAdvised, AssetKnown
from isthmus.model.time import iso

COLUMNS: Final = ("id", "parent", "zone", "state", "known_role", "first_seen", "last_seen", *ATTRIBUTES, "advisories")
_HASHED: Final = frozenset({"address", "mac", "serial", "name"})
"""What a redacted export says as a hash; the other sensitive fields it leaves out."""


def rows(
    assets: Sequence[AssetKnown],
    states: Mapping[str, str],
    advised: Mapping[str, AssetAdvised],
    secret: bytes | None = None,
) -> list[dict[str, str]]:
    """One row per asset with COLUMNS; redacted when a `secret` is given."""
    out = []
    for asset in assets:
        name = _id(asset)
        told = advised.get(name)
        row = {
            "id": name,
            "parent": asset.parent,
            "zone": asset.zone,
            "state": states.get(name, "staged"),
            "known_role": asset.role,
            "first_seen": iso(asset.first_ns),
            "last_seen": iso(asset.last_ns),
            **{field: asset.best(field) for field in ATTRIBUTES},
            "advisories": told.answer if told else "no data",
        }
        out.append(row if secret is None else _redacted(row, secret))
    return out


def whole(assets: Sequence[AssetKnown], names: Mapping[str, str], secret: bytes | None = None) -> list[dict[str, Any]]:
    """Each asset with every value and how it is known; `names` gives the sources theirs."""
    out = []
    for asset in assets:
        fields = [
            {
                "field": field.name,
                "value": _hash(field.value, secret) if secret and field.name in _HASHED else field.value,
                "known": field.how,
                "by": field.method if secret is None else field.how,
                "confidence": field.confidence,
                "first_seen": iso(field.first_ns),
                "last_seen": iso(field.last_ns),
                **({"source": names.get(field.source, field.source), "frame": field.frame} if secret is None else {}),
            }
            for field in asset.fields
            if secret is None or field.name in _HASHED or field.name in _OPEN
        ]
        out.append(
            {
                "id": _id(asset),
                "parent": asset.parent,
                "zone": asset.zone,
                "role": asset.role,
                **({"known_by": list(asset.keys), "role_why": asset.role_why} if secret is None else {}),
                "fields": fields,
            }
        )
    return out


_OPEN: Final = frozenset({"maker", "model", "role", "criticality", "owner", "physical", "family", "distributor"})
"""What a redacted export says as it is."""


def cyclonedx(assets: Sequence[AssetKnown], name: str, head: str, now_ns: int) -> dict[str, Any]:
    """A bill of hardware; modules stand within the device behind whose address they are."""
    below: dict[str, list[AssetKnown]] = {}
    for asset in assets:
        below.setdefault(asset.parent, []).append(asset)
    known = {_id(asset) for asset in assets}
    tops = [asset for asset in assets if asset.parent not in known]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(hashlib.blake2b(head.encode(), digest_size=16).hexdigest())}",
        "version": 1,
        "metadata": {"timestamp": iso(now_ns), "component": {"type": "platform", "bom-ref": "plant", "name": name}},
        "components": [_component(asset, below) for asset in tops],
    }


def _component(asset: AssetKnown, below: Mapping[str, Sequence[AssetKnown]]) -> dict[str, Any]:
    name = _id(asset)
    kept = ("address", "mac", "serial", "role", "os", "location", "owner", "criticality", "number")
    told: dict[str, Any] = {
        "type": "device",
        "bom-ref": name,
        "name": asset.best("model") or asset.best("name") or asset.best("address") or name,
        "properties": [{"name": f"isthmus:{field}", "value": value} for field in kept if (value := asset.best(field))],
    }
    if maker := asset.best("maker"):
        told["manufacturer"] = {"name": maker}
    parts: list[dict[str, Any]] = [_component(one, below) for one in below.get(name, ()) if _id(one) != name]
    if firmware := asset.best("firmware"):
        told["version"] = firmware
        parts.insert(0, {"type": "firmware", "bom-ref": f"{name}-firmware", "name": "firmware", "version": firmware})
    return {**told, "components": parts} if parts else told


def _redacted(row: Mapping[str, str], secret: bytes) -> dict[str, str]:
    plain = {"id", "parent", "zone", "state", "known_role", "advisories", *_OPEN}
    out = {}
    for name, value in row.items():
        if name in _HASHED:
            out[name] = _hash(value, secret)
        elif name in plain and name not in SENSITIVE:
            out[name] = value
    return out


def _hash(value: str, secret: bytes) -> str:
    return hashlib.blake2b(value.encode(), key=secret, digest_size=8).hexdigest() if value else ""


def _id(asset: AssetKnown) -> str:
    return asset.path.rpartition("/")[2]
