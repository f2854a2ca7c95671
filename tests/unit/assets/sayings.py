"""Statements and conversations for tests, as a capture would give them."""

from __future__ import annotations

from isthmus.assets.heard import seen
from isthmus.model.equipment import beside
from isthmus.model.inventory import digest
from isthmus.model.records.assets import AssetSeen, FlowSeen

PLANT = "acme/north"


def said(  # noqa: PLR0913  a statement has many parts
    address: str = "",
    *,
    at: int = 1,
    to: int | None = None,
    source: str = "monday",
    how: str = "observed",
    method: str = "CIP Identity object",
    mac: str = "",
    child: str = "",
    **fields: str,
) -> AssetSeen:
    return seen(
        PLANT,
        source=source,
        frame=at,
        first_ns=at,
        last_ns=at if to is None else to,
        how=how,  # type: ignore[arg-type]  # the tests name only those that are
        method=method,
        address=address,
        mac=mac,
        child=child,
        fields=fields,
    )


def flow(client: str, server: str, service: str = "modbus", *, at: int = 1, **more: object) -> FlowSeen:
    given: dict[str, object] = {
        "transport": "tcp",
        "port": 502,
        "packets": 3,
        "source": "monday",
        "last_ns": at,
        **more,
    }
    name = digest(client, server, service, *(f"{key}={value}" for key, value in sorted(given.items())))
    return FlowSeen(
        path=beside(PLANT, "flow-seen", name),
        time_ns=at,
        frame=at,
        client=client,
        server=server,
        service=service,
        **given,  # type: ignore[arg-type]  # fields of the fact
    )
