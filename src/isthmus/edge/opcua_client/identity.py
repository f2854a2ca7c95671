"""Who an OPC UA server says it is: nameplates, build information, namespaces, endpoints.

What answers at the address is the one device of the DeviceSet; where there is none, the one machine, as
of a machine with a server of its own. Everything else that has a nameplate stands behind it. With several
and no device the server is a gateway: it is known by its software alone, and all of them stand behind it.
Build information is never a nameplate: most servers say there whose library they were made with.
"""

from __future__ import annotations

from typing import Any, Final

from isthmus.edge.opcua_client import nameplates
from isthmus.edge.opcua_client.link import Access, Link, linked
from isthmus.edge.opcua_client.nameplates import Plates
from isthmus.edge.opcua_client.refusals import in_words
from isthmus.edge.opcua_client.security import fingerprint, first_certificate
from isthmus.edge.source import Identity
from isthmus.model.records.edge import Nameplate

_URI: Final = "http://opcfoundation.org/UA/SecurityPolicy#"
_SERVERS, _NAMESPACES = 2254, 2255
_PRODUCT, _PRODUCT_URI, _MAKER, _VERSION, _BUILD = 2261, 2262, 2263, 2264, 2265


async def identify(access: Access, link: Link | None = None) -> Identity:
    """Read it over `link`, or over a session of its own. Raises DeviceAway and DeviceRefuses."""
    if link is not None:
        with in_words(access.url):
            return await _ask(access, link)
    async with linked(access) as own:
        return await _ask(access, own)


async def _ask(access: Access, link: Link) -> Identity:
    from asyncua import ua  # noqa: PLC0415  heavy; see the package

    wanted = (_SERVERS, _NAMESPACES, _PRODUCT, _PRODUCT_URI, _MAKER, _VERSION, _BUILD)
    servers, namespaces, product, product_uri, maker, version, build = await link.read(
        [ua.NodeId(node) for node in wanted]
    )
    endpoints = await link.endpoints()
    here, behind = placed(await nameplates.ask(link))
    more = {
        **here.more,
        "software": " ".join(filter(None, (product, version))),
        "software_maker": maker or "",
        "application_uri": (servers or [""])[0] or "",
        "product_uri": product_uri or "",
        "build": build or "",
        "namespaces": "\n".join(namespaces or ()),
        "endpoints": "\n".join(sorted({_words(endpoint) for endpoint in endpoints})),
        "server_certificate": _fingerprint(endpoints),
    }
    return Identity(
        address=access.url,
        protocol="OPC UA",
        maker=here.maker,
        model=here.model,
        serial=here.serial,
        firmware=here.firmware,
        security=access.security_in_words,
        more={name: text for name, text in more.items() if text},
        parts=behind,
    )


def placed(plates: Plates) -> tuple[Nameplate, tuple[Nameplate, ...]]:
    """Who answers at the address, and what stands behind it. A machine that is in the DeviceSet too is told once."""
    known = {_mark(one) for one in plates.devices}
    machines = [one for one in plates.machines if _mark(one) not in known]
    at_the_address = plates.devices or machines
    here = at_the_address[0] if len(at_the_address) == 1 else Nameplate(name="")
    marks = {_mark(one) for one in (*plates.devices, *machines)}
    parts = [one for one in plates.components if _mark(one) not in marks]
    if len(at_the_address) > 1:
        here = Nameplate(name="", more={"role": "gateway"})
    return here, tuple(one for one in (*machines, *plates.devices, *parts) if one is not here)


def _mark(one: Nameplate) -> tuple[str, ...]:
    """By which two nameplates are of the same thing: its number where it has one."""
    return (one.maker, one.serial) if one.serial else (one.name.partition(" ")[2], one.maker, one.model)


def _words(endpoint: Any) -> str:  # noqa: ANN401  asyncua has no types
    logins = sorted({token.TokenType.name for token in endpoint.UserIdentityTokens or ()})
    mode = endpoint.SecurityMode.name.strip("_")
    return f"{endpoint.SecurityPolicyUri.removeprefix(_URI)} {mode}, log-in: {', '.join(logins) or 'none'}"


def _fingerprint(endpoints: list[Any]) -> str:
    shown = next((endpoint.ServerCertificate for endpoint in endpoints if endpoint.ServerCertificate), None)
    return fingerprint(first_certificate(shown)) if shown else ""
