"""What `isthmus audit identify` takes from the audit's folder and keeps there: answers, and who kept a connection."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from isthmus.assets.decode.audit import hear
from isthmus.assets.decode.said import Identity
from isthmus.assets.roles import safety_reason
from isthmus.edge.identify.round import Visit
from isthmus.model.errors import UsageError
from isthmus.model.records.assets import AssetKnown
from isthmus.model.zones import Zone, ZoneKind
from isthmus.plantfile import PlantFile
from isthmus.run.auditing.store import AuditStore

_KEPT: Final = "kept-open.json"


def declared(store: AuditStore, plant: PlantFile) -> None:
    """Take zones, conduits and name from the plant file, as an import does."""
    settings = msgspec.structs.replace(
        store.settings,
        path=store.settings.path if store.sources() else plant.plant.path,
        name=plant.plant.name,
        zones=plant.zones,
        conduits=plant.conduits,
        time_zone=plant.plant.time_zone,
    )
    if settings != store.settings:
        store.declare(settings)


class Safety(NamedTuple):
    """What the record knows of safety systems."""

    addresses: dict[str, str]
    """Where a safety controller was seen, now or before, and why it is held to be one."""
    zones: tuple[Zone, ...]
    """Safety zones that were declared to it, by whichever plant file."""


def safety_of(folder: Path, store: AuditStore | None) -> Safety:
    """From the open store, or from the folder; nothing where there is no record yet."""
    if store is None:
        if not (folder / "settings.json").exists():
            return Safety({}, ())
        with AuditStore(folder, make=False) as opened:
            return safety_of(folder, opened)
    known = [(one, why) for one in store.all(AssetKnown) if (why := safety_reason(one))]
    addresses = {field.value: why for one, why in known for name in ("address", "behind") for field in one.all(name)}
    return Safety(addresses, tuple(zone for zone in store.settings.zones if zone.kind is ZoneKind.SAFETY))


def kept_open(folders: Iterable[Path]) -> dict[str, int]:
    """By address, when a device last left a connection half closed. Raises UsageError when that cannot be read."""
    out: dict[str, int] = {}
    for folder in folders:
        for address, since in _kept_in(folder).items():
            out[address] = max(since, out.get(address, 0))
    return out


def remembers(into: Path, plant: PlantFile) -> tuple[Path, Path]:
    """Where that is kept: in the audit's folder, and with the plant file's edge, so that another folder forgets nothing."""
    return into / "asked", plant.file.parent / plant.edge.data / "asked"


def _kept_in(folder: Path) -> dict[str, int]:
    path = folder / _KEPT
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, int])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        msg = f"{path} cannot be read: {error}; it says which devices are not to be asked again"
        raise UsageError(msg) from error


def keep_open(folders: Iterable[Path], visit: Visit) -> None:
    """Remember a device that left a connection half closed; forget one that closed well."""
    for folder in folders:
        known = _kept_in(folder)
        after = dict(known)
        if visit.left:
            after[visit.target.address] = visit.began_ns
        elif visit.outcome == "answered":
            after.pop(visit.target.address, None)
        if after != known:
            folder.mkdir(parents=True, exist_ok=True)
            fresh = folder / f"{_KEPT}.new"
            fresh.write_bytes(msgspec.json.encode(after))
            fresh.replace(folder / _KEPT)


def told_by(evidence: Path, visits: Sequence[Visit]) -> list[list[Identity]]:
    """What each visit's device said, each thing once: from its beginning to that of the next."""
    said = hear(evidence).identities
    begun = [one.began_ns for one in visits if one.began_ns]
    ends: Mapping[int, int] = dict(itertools.pairwise([*begun, 1 << 63]))
    out: list[list[Identity]] = []
    for visit in visits:
        told = [
            msgspec.structs.replace(one, time_ns=0, packet_frame=0)
            for one in said
            if visit.began_ns <= one.time_ns < ends.get(visit.began_ns, 0)
            and one.address == visit.target.address
            and one.role != "client"
        ]
        out.append([one for index, one in enumerate(told) if one not in told[:index]])
    return out
