"""What people decided, applied to the record: their values outweigh what was seen, and both stay visible."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from isthmus.assets.roles import named as role_named
from isthmus.model.equipment import named
from isthmus.model.records.assets import AssetDecided, AssetKnown, Field
from isthmus.model.time import to_datetime


def with_decisions(assets: Sequence[AssetKnown], decided: Iterable[AssetDecided]) -> list[AssetKnown]:
    """The record with the values that people set; of two for one field the later stands."""
    by_alias: dict[str, list[AssetDecided]] = defaultdict(list)
    for one in decided:
        name = named(one.path, "asset")
        if name and one.decision == "set":
            by_alias[name].append(one)
    return [_applied(asset, [one for alias in asset.aliases for one in by_alias.get(alias, ())]) for asset in assets]


def ended(decided: Iterable[AssetDecided], now_ns: int) -> list[AssetDecided]:
    """Acceptances and dismissals whose time is over, as decisions to look again from that moment on.

    The same decisions give the same ones, wherever and however often they are judged.
    """
    newest: dict[str, AssetDecided] = {}
    for one in sorted(decided, key=lambda each: (each.said_ns, each.ordinal)):
        if one.decision in ("accept", "dismiss", "reopen") and not one.gone:
            newest[one.path] = one
    return [
        AssetDecided(
            path=one.path,
            time_ns=one.until_ns,
            decision="reopen",
            reason=f"{one.by} decided it until {to_datetime(one.until_ns - 1).date().isoformat()}: {one.reason}",
            by="isthmus",
            said_ns=one.until_ns,
        )
        for one in newest.values()
        if one.decision != "reopen" and 0 < one.until_ns <= now_ns
    ]


def baseline(decided: Iterable[AssetDecided]) -> frozenset[str] | None:
    """Every conversation that was accepted as normal; None before anybody accepted any."""
    lines = [one.talks for one in decided if one.decision == "baseline" and not one.gone]
    return frozenset(talk for each in lines for talk in each) if lines else None


def _applied(asset: AssetKnown, decided: list[AssetDecided]) -> AssetKnown:
    if not decided:
        return asset
    told: dict[str, Field] = {}
    for one in sorted(decided, key=lambda each: (each.said_ns, each.path)):
        for name, value in one.fields.items():
            told[name] = Field(
                name=name,
                value=value,
                how="accepted",
                method=f"said by {one.by}: {one.reason}",
                confidence=1.0,
                first_ns=one.said_ns,
                last_ns=one.said_ns,
            )
    kept = {name: getattr(asset, name) for name in asset.__struct_fields__}
    ours = [field for field in told.values() if field.value]
    fields = tuple(sorted([*ours, *asset.fields], key=lambda field: (field.name, field.how != "accepted")))
    role = told.get("role")
    if role and role.value:
        kept |= {"role": role_named(role.value) or role.value.lower(), "role_why": role.method}
    return AssetKnown(**{**kept, "fields": fields, "zone": told["zone"].value if "zone" in told else asset.zone})
