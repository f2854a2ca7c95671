"""What a capture says, as facts of the asset record: who was there and who spoke with whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from isthmus.assets.addresses import is_group
from isthmus.assets.decode.heard import Conversation, Heard
from isthmus.assets.decode.said import Exposure, Identity, Use
from isthmus.assets.record import OWN_CARD, joined
from isthmus.model.equipment import beside
from isthmus.model.inventory import digest
from isthmus.model.records.assets import AssetSeen, FlowSeen, How

_FIELDS = ("maker", "model", "firmware", "serial", "name", "os", "role")


def facts_of(
    plant: str, heard: Heard, source: str, card: Callable[[str], str] = lambda _: ""
) -> tuple[list[AssetSeen], list[FlowSeen]]:
    """The facts of one capture; `source` is its digest, `card` tells a MAC address's maker.

    Frames say where in that capture; all else is the same however the capture was cut.
    """
    seen = joined([*_identities(plant, heard, source), *_neighbours(plant, heard, source, card)])
    return seen, [*_conversations(plant, heard, source), *_used(plant, heard, source)]


def asked_facts(plant: str, heard: Heard, source: str) -> list[AssetSeen]:
    """What devices said because we asked them: who they are, and nothing of our own part in it."""
    servers = {talk.server for talk in heard.conversations}
    told = (one for one in heard.identities if one.address in servers and one.role != "client")
    return joined(
        [
            seen(
                plant,
                source=source,
                frame=one.packet_frame,
                first_ns=one.time_ns,
                last_ns=max(one.time_ns, one.last_ns),
                how="queried",
                method=f"asked: {one.method}",
                address=one.address,
                child=one.child,
                fields=_told(one),
            )
            for one in told
        ]
    )


def seen(  # noqa: PLR0913  a fact has many fields
    plant: str,
    *,
    source: str,
    frame: int,
    first_ns: int,
    last_ns: int,
    how: How,
    method: str,
    address: str = "",
    mac: str = "",
    child: str = "",
    fields: dict[str, str],
) -> AssetSeen:
    """A statement, named by what it says."""
    kept = {name: fields[name] for name in sorted(fields) if fields[name]}
    flat = [part for pair in kept.items() for part in pair]
    name = digest(source, how, method, address, mac, child, *flat)
    return AssetSeen(
        path=beside(plant, "asset-seen", name),
        time_ns=first_ns,
        source=source,
        frame=frame,
        last_ns=last_ns,
        how=how,
        method=method,
        address=address,
        mac=mac,
        child=child,
        fields=kept,
    )


def _identities(plant: str, heard: Heard, source: str) -> Iterator[AssetSeen]:
    for one in heard.identities:
        yield seen(
            plant,
            source=source,
            frame=one.packet_frame,
            first_ns=one.time_ns,
            last_ns=max(one.time_ns, one.last_ns),
            how="observed",
            method=one.method,
            address=one.address,
            mac=one.mac,
            child=one.child,
            fields=_told(one),
        )


def _told(one: Identity) -> dict[str, str]:
    """What it says, by the record's names; an order number where it says more than the model."""
    order = one.order_number if one.order_number != one.model else ""
    return {name: getattr(one, name) for name in _FIELDS} | {"order_number": order} | dict(one.more)


def _neighbours(plant: str, heard: Heard, source: str, card: Callable[[str], str]) -> Iterator[AssetSeen]:
    for one in heard.neighbours:
        if is_group(one.address):
            continue
        yield seen(
            plant,
            source=source,
            frame=one.first_frame,
            first_ns=one.first_ns,
            last_ns=one.last_ns,
            how="observed",
            method=OWN_CARD if one.claimed else "traffic",
            address=one.address,
            mac=one.mac,
            fields={"card": card(one.mac)} if one.claimed else {},
        )
    for talk, mac in _speakers(heard):
        if not is_group(mac):
            yield seen(
                plant,
                source=source,
                frame=talk.first_frame,
                first_ns=talk.first_ns,
                last_ns=talk.last_ns,
                how="observed",
                method="traffic",
                mac=mac,
                # Below IP nothing is routed, so the tag is that of the network in which the card itself stands.
                fields={"card": card(mac), "vlan": str(talk.vlan) if talk.vlan else ""},
            )


def _speakers(heard: Heard) -> Iterator[tuple[Conversation, str]]:
    """Who sent something below IP, by its card."""
    for talk in heard.conversations:
        if talk.transport == "l2":
            yield from ((talk, talk.client),) if talk.asked else ()
            yield from ((talk, talk.server),) if talk.answered else ()


def _conversations(plant: str, heard: Heard, source: str) -> Iterator[FlowSeen]:
    for one in heard.conversations:
        yield FlowSeen(
            path=beside(
                plant,
                "flow-seen",
                digest(source, one.client, one.server, one.transport, str(one.port), one.service, str(one.vlan)),
            ),
            time_ns=one.first_ns,
            source=source,
            frame=one.first_frame,
            last_ns=one.last_ns,
            client=one.client,
            server=one.server,
            client_mac=one.mac_client,
            server_mac=one.mac_server,
            transport=one.transport,
            port=one.port,
            service=one.service,
            packets=one.packets,
            bytes=one.octets,
            initiated=one.initiation != "port",
            client_port=one.client_port,
        )


def _used(plant: str, heard: Heard, source: str) -> Iterator[FlowSeen]:
    spoken: list[Use | Exposure] = [*heard.uses, *heard.exposures]
    for one in spoken:
        what, act = (one.function, one.act) if isinstance(one, Use) else (one.what, "exposure")
        yield FlowSeen(
            path=beside(
                plant,
                "flow-seen",
                digest(source, one.client, one.server, str(one.port), one.service, what, act),
            ),
            time_ns=one.time_ns,
            source=source,
            frame=one.packet_frame,
            last_ns=one.time_ns,
            client=one.client,
            server=one.server,
            transport="",
            port=one.port,
            service=one.service,
            function=what,
            act=act,
            initiated=True,
        )
