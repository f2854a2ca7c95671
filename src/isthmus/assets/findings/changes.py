"""What changed: firmware, addresses, the device behind an address; and what stands behind one address."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from isthmus.assets.findings.look import Look, listed
from isthmus.assets.record import longer
from isthmus.assets.versions import same
from isthmus.model.records.assets import AssetFinding, AssetKnown, Evidence, Field
from isthmus.model.time import to_datetime


def firmware_drift(look: Look) -> Iterator[AssetFinding]:
    """One device that said another firmware later. Only what was said in the same way is compared."""
    for asset in look.assets:
        steps = _steps(asset)
        if not steps:
            continue
        told = ", then ".join(f"{field.value} from {_day(field.first_ns)}" for field in steps)
        serial = asset.best("serial")
        yield look.finding(
            "drift",
            [asset.keys[0]],
            severity="medium",
            title=f"{_called(asset)} changed its firmware from {steps[0].value} to {steps[-1].value}",
            text=f"Serial {serial or 'not known'}: {told}.",
            next_step="Compare with the change record. If nobody planned it, compare the program with the backup.",
            evidence=[_seen(field, f"firmware {field.value}") for field in steps],
            assets=[_id(asset)],
            serials=[serial] if serial else [],
        )


def _steps(asset: AssetKnown) -> list[Field]:
    """The firmware values in the order of time, when there is more than one and they do not overlap."""
    ways: dict[str, list[Field]] = defaultdict(list)
    for field in asset.all("firmware"):
        if field.how in ("observed", "queried"):
            ways[field.method].append(field)
    best: list[Field] = []
    for fields in ways.values():
        ordered = _spans(fields)
        apart = all(one.last_ns < other.first_ns for one, other in pairwise(ordered))
        differ = [
            field for index, field in enumerate(ordered) if not index or not same(field.value, ordered[index - 1].value)
        ]
        if apart and len(differ) > max(1, len(best)):
            best = differ
    return best


def address_moves(look: Look) -> Iterator[AssetFinding]:
    """Devices that went to another address; a chassis with its modules is one move."""
    moves: dict[tuple[str, str], list[tuple[AssetKnown, Field, Field]]] = defaultdict(list)
    for asset in look.assets:
        spans = _spans([*asset.all("address"), *asset.all("behind")])
        for one, other in pairwise(spans):
            if one.last_ns < other.first_ns and look.places.zone(one.value) == look.places.zone(other.value):
                moves[one.value, other.value].append((asset, one, other))
    for (origin, target), members in moves.items():
        assets = [asset for asset, _, _ in members]
        first = min(assets, key=lambda asset: (asset.parent != "", asset.path))
        serials = [serial for asset in assets if (serial := asset.best("serial"))]
        yield look.finding(
            "identity",
            ["move", origin, target],
            severity="low",
            title=f"{_called(first)} moved from {origin} to {target}",
            text=f"{_many(assets)}, known by serial: one device with two addresses, not two devices.",
            next_step="Accept the new address if the move was planned; otherwise find who changed it.",
            evidence=[_seen(field, f"{_called(asset)} at {field.value}") for asset, *both in members for field in both],
            addresses=[origin, target],
            assets=[_id(asset) for asset in assets],
            serials=serials,
        )


def replaced(look: Look) -> Iterator[AssetFinding]:
    """Another device answers at an address."""
    at: dict[str, list[tuple[Field, AssetKnown]]] = defaultdict(list)
    for asset in look.assets:
        if asset.keys[0].startswith("serial ") and not asset.parent:
            for field in _spans(asset.all("address")):
                at[field.value].append((field, asset))
    for address, members in at.items():
        members.sort(key=lambda member: (member[0].first_ns, member[1].path))
        if len(members) < 2 or members[0][0].last_ns >= members[-1][0].first_ns:  # noqa: PLR2004  two devices
            continue
        before, after = members[0][1], members[-1][1]
        yield look.finding(
            "identity",
            ["replaced", address],
            severity="medium",
            title=f"Another device answers at {address}",
            text=f"{_called(before)} serial {before.best('serial')}, then {_called(after)} serial {after.best('serial')}.",
            next_step="Accept the replacement if it was planned, and retire the old asset.",
            evidence=[_seen(field, _called(asset)) for field, asset in members],
            addresses=[address],
            serials=[asset.best("serial") for _, asset in members],
        )


def modules(look: Look) -> Iterator[AssetFinding]:
    """What stands behind one address: a note, so that nobody counts one device where there are four."""
    behind: dict[str, list[AssetKnown]] = defaultdict(list)
    for asset in look.assets:
        if asset.parent:
            behind[asset.parent].append(asset)
    by_id = {_id(asset): asset for asset in look.assets}
    for parent, members in sorted(behind.items()):
        owner = by_id[parent]
        every = [owner, *members]
        yield look.finding(
            "identity",
            ["modules", parent],
            severity="note",
            title=f"{len(every)} devices behind {owner.best('address') or owner.best('mac')}",
            text=listed((f"{_called(one)} {one.best('serial')}".strip() for one in every), 12) + ".",
            next_step="Nothing to do; each is an asset of its own.",
            evidence=[_seen(one.fields[0], _called(one)) for one in every if one.fields],
            addresses=[field.value for one in every for field in (*one.all("address"), *one.all("behind"))],
            assets=[_id(one) for one in every],
            serials=[serial for one in every if (serial := one.best("serial"))],
        )


def firmware_known(look: Look) -> Iterator[AssetFinding]:
    """Each firmware a device ever said: a note, with its frame."""
    for asset in look.assets:
        for field in asset.all("firmware"):
            places = [one.value for one in (*asset.all("address"), *asset.all("behind"))]
            yield look.finding(
                "firmware",
                [asset.keys[0], field.value, field.method, field.source],
                severity="note",
                title=f"{_called(asset)} runs firmware {field.value}",
                text=f"Said by {field.method}, {_day(field.first_ns)}.",
                next_step="Nothing to do; the advisories are held against it.",
                evidence=[_seen(field, f"firmware {field.value}")],
                assets=[_id(asset)],
                addresses=places,
                serials=[asset.best("serial")] if asset.best("serial") else [],
            )


def _spans(fields: Sequence[Field]) -> list[Field]:
    """Where it was, in the order of time: the same address seen twice in a row is one stay."""
    out: list[Field] = []
    seen = [field for field in fields if field.how in ("observed", "queried")]
    for field in sorted(seen, key=lambda one: (one.first_ns, one.value, one.frame)):
        if out and out[-1].value == field.value:
            out[-1] = longer(out[-1], field.last_ns)
        else:
            out.append(field)
    return out


def _many(assets: Sequence[AssetKnown]) -> str:
    return "The device" if len(assets) == 1 else f"{len(assets)} devices"


def _called(asset: AssetKnown) -> str:
    return asset.best("model") or asset.best("name") or asset.best("address") or asset.best("mac") or _id(asset)


def _id(asset: AssetKnown) -> str:
    return asset.path.rpartition("/")[2]


def _day(time_ns: int) -> str:
    return to_datetime(time_ns).date().isoformat()


def _seen(field: Field, what: str) -> Evidence:
    return Evidence(source=field.source, frame=field.frame, time_ns=field.first_ns, what=what)


RULES = (firmware_drift, address_moves, replaced, modules, firmware_known)
