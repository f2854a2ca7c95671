"""How complete the record is, against the 32 attributes of the CISA inventory guidance, by zone.

A field counts when it has a value; how it is known and how old that is stand beside the count, since
a field that somebody typed in five years ago is not a field that was seen yesterday.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from isthmus.model.inventory import ATTRIBUTES, Priority
from isthmus.model.records.assets import AssetKnown, Field

WEIGHTS: Final[Mapping[Priority, int]] = {"high": 3, "medium": 2, "low": 1}


class Share(NamedTuple):
    """One attribute over some assets."""

    attribute: str
    filled: int
    of: int
    by: Mapping[str, int]
    """How it is known: observed, queried, declared, accepted, deduced; the best of each asset."""
    oldest_ns: int | None
    """When the value that is out of date the longest was last seen; None without any."""


class Completeness(NamedTuple):
    """The score of a zone, and each attribute's part."""

    zone: str
    assets: int
    score: float | None
    """Share of filled attributes from 0 to 1, high counting three times and medium twice; None without assets."""
    high: float | None
    shares: tuple[Share, ...]


def filled(asset: AssetKnown) -> dict[str, Field]:
    """By attribute, the value that stands. The role that follows from deeds counts, as deduced."""
    out: dict[str, Field] = {}
    for field in asset.fields:
        if field.name in ATTRIBUTES and field.name not in out:
            out[field.name] = field
    if "role" not in out and asset.role:
        out["role"] = Field(
            name="role",
            value=asset.role,
            how="observed",
            method="deduced",
            confidence=0.5,
            first_ns=asset.first_ns,
            last_ns=asset.last_ns,
        )
    return out


def score_of(asset: AssetKnown) -> float:
    """The share of one asset."""
    have = filled(asset)
    whole = sum(WEIGHTS[one.priority] for one in ATTRIBUTES.values())
    return sum(WEIGHTS[ATTRIBUTES[name].priority] for name in have) / whole


def scored(assets: Iterable[AssetKnown]) -> list[AssetKnown]:
    """The assets, each with its share."""
    return [
        AssetKnown(
            **{**{name: getattr(one, name) for name in one.__struct_fields__}, "filled": round(score_of(one), 4)}
        )
        for one in assets
    ]


def by_zone(assets: Iterable[AssetKnown]) -> list[Completeness]:
    """The whole plant first, as zone "*", then each zone. Modules are counted with the rest."""
    zones: dict[str, list[dict[str, Field]]] = defaultdict(list)
    everything: list[dict[str, Field]] = []
    for asset in assets:
        have = filled(asset)
        zones[asset.zone].append(have)
        everything.append(have)
    return [_scored("*", everything), *(_scored(zone, zones[zone]) for zone in sorted(zones))]


def _scored(zone: str, assets: list[dict[str, Field]]) -> Completeness:
    shares = tuple(_share(name, assets) for name in ATTRIBUTES)
    return Completeness(zone, len(assets), _weighed(shares), _weighed([one for one in shares if _is_high(one)]), shares)


def _is_high(share: Share) -> bool:
    return ATTRIBUTES[share.attribute].priority == "high"


def _weighed(shares: Iterable[Share]) -> float | None:
    got = whole = 0
    for one in shares:
        weight = WEIGHTS[ATTRIBUTES[one.attribute].priority]
        got += weight * one.filled
        whole += weight * one.of
    return got / whole if whole else None


def _share(name: str, assets: list[dict[str, Field]]) -> Share:
    found = [have[name] for have in assets if name in have]
    ways = Counter("deduced" if field.method == "deduced" else field.how for field in found)
    return Share(name, len(found), len(assets), dict(ways), min((field.last_ns for field in found), default=None))
