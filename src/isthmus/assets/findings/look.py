"""What rules look at, and how they say what they found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Final

from isthmus.assets.addresses import Places, is_group
from isthmus.model.equipment import beside
from isthmus.model.inventory import digest
from isthmus.model.records.assets import AssetFinding, AssetKnown, Evidence, FlowSeen, Severity
from isthmus.model.zones import Conduit

EVIDENCE_AT_MOST: Final = 12
NOISE_PORTS: Final = frozenset({67, 68, 137, 138, 1900, 5353, 5355, 546, 547})
"""DHCP, NetBIOS names and datagrams, SSDP, mDNS, LLMNR: what every computer calls into its own network."""


class Look:
    """The record, the conversations, and what the plant declares. `today_ns` is the caller's."""

    Rule = Callable[["Look"], Iterable[AssetFinding]]

    def __init__(  # noqa: PLR0913  this is where everything meets
        self,
        plant: str,
        assets: Sequence[AssetKnown],
        flows: Sequence[FlowSeen],
        places: Places,
        *,
        conduits: Sequence[Conduit] = (),
        baseline: frozenset[str] | None = None,
        today_ns: int = 0,
    ) -> None:
        self.plant = plant
        self.assets = assets
        self.places = places
        self.conduits = conduits
        self.baseline = baseline
        """What a person accepted as normal, as `inventory.talk` writes it; None before anybody did."""
        self.today_ns = today_ns
        self.flows = sorted(flows, key=lambda flow: (flow.time_ns, flow.source, flow.path))

    @cached_property
    def talks(self) -> list[FlowSeen]:
        """Conversations between two devices: no calls into the network, no groups."""
        return [flow for flow in self.flows if not is_noise(flow)]

    @cached_property
    def at(self) -> dict[str, AssetKnown]:
        """The device at an address; of several the one seen last."""
        out: dict[str, AssetKnown] = {}
        for asset in sorted(self.assets, key=lambda one: (one.last_ns, one.path)):
            for field in (*asset.all("address"), *asset.all("mac")):
                out[field.value] = asset
        return out

    def called(self, address: str) -> str:
        """An address with what stands there, as people say it."""
        asset = self.at.get(address)
        name = (asset.best("name") or asset.best("model")) if asset else ""
        return f"{name} ({address})" if name else address

    def ids(self, addresses: Iterable[str]) -> tuple[str, ...]:
        """The assets at these addresses."""
        found = {self.at[address].path.rpartition("/")[2] for address in addresses if address in self.at}
        return tuple(sorted(found))

    def finding(  # noqa: PLR0913  a finding has many fields
        self,
        what: str,
        cause: Sequence[str],
        *,
        severity: Severity,
        title: str,
        text: str,
        next_step: str,
        flows: Sequence[FlowSeen] = (),
        evidence: Sequence[Evidence] = (),
        addresses: Iterable[str] = (),
        assets: Iterable[str] = (),
        serials: Iterable[str] = (),
        conduit: str = "",
    ) -> AssetFinding:
        """A finding, named by its cause."""
        shown = [*evidence, *(seen_in(flow) for flow in flows)]
        shown.sort(key=lambda one: (one.time_ns, one.source, one.frame))
        places = tuple(sorted(set(addresses)))
        return AssetFinding(
            path=beside(self.plant, "finding", digest(what, *cause)),
            time_ns=min((one.time_ns for one in shown), default=0),
            what=what,
            title=title,
            text=text,
            next_step=next_step,
            severity=severity,
            assets=tuple(sorted({*assets, *self.ids(places)})),
            addresses=places,
            serials=tuple(sorted(set(serials))),
            last_ns=max([*(flow.last_ns for flow in flows), *(one.time_ns for one in evidence)], default=0),
            count=sum(flow.packets or 1 for flow in flows) or len(shown) or 1,
            evidence=tuple(shown[:EVIDENCE_AT_MOST]),
            conduit=conduit,
        )


def is_noise(flow: FlowSeen) -> bool:
    """Whether a conversation is a call into the network that every computer makes."""
    return (
        flow.port in NOISE_PORTS or flow.transport in ("l2", "igmp") or is_group(flow.server) or is_group(flow.client)
    )


def seen_in(flow: FlowSeen) -> Evidence:
    """The frame with which a conversation began, or in which a function was used."""
    what = flow.function or f"{flow.transport}/{flow.port} {flow.service}".strip()
    return Evidence(
        source=flow.source, frame=flow.frame, time_ns=flow.time_ns, what=f"{flow.client} to {flow.server}: {what}"
    )


def grouped(
    flows: Iterable[FlowSeen], key: Callable[[FlowSeen], tuple[str, ...]]
) -> dict[tuple[str, ...], list[FlowSeen]]:
    """Conversations by cause."""
    out: dict[tuple[str, ...], list[FlowSeen]] = defaultdict(list)
    for flow in flows:
        out[key(flow)].append(flow)
    return dict(out)


def listed(items: Iterable[str], most: int = 5) -> str:
    """Some of many in a sentence.

    >>> listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    every = sorted(set(items))
    if len(every) > most:
        return f"{', '.join(every[:most])} and {len(every) - most} more"
    return " and ".join([", ".join(every[:-1]), every[-1]]) if len(every) > 1 else "".join(every)


def services(flows: Iterable[FlowSeen]) -> str:
    """The services of conversations in a sentence."""
    return listed(
        flow.service or (f"{flow.transport} port {flow.port}" if flow.port else flow.transport or "?") for flow in flows
    )
