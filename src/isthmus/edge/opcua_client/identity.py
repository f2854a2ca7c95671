"""Who an OPC UA server says it is: build information, namespaces, endpoints."""

from __future__ import annotations

from typing import Any, Final

from isthmus.edge.opcua_client.link import Access, Link, linked
from isthmus.edge.opcua_client.security import fingerprint, first_certificate
from isthmus.edge.source import Identity

_URI: Final = "http://opcfoundation.org/UA/SecurityPolicy#"
_SERVERS, _NAMESPACES = 2254, 2255
_PRODUCT, _PRODUCT_URI, _MAKER, _VERSION, _BUILD = 2261, 2262, 2263, 2264, 2265


async def identify(access: Access) -> Identity:
    """Read it over a session of its own. Raises DeviceAway and DeviceRefuses."""
    async with linked(access) as link:
        return await _ask(access, link)


async def _ask(access: Access, link: Link) -> Identity:
    from asyncua import ua  # noqa: PLC0415  heavy; see the package

    wanted = (_SERVERS, _NAMESPACES, _PRODUCT, _PRODUCT_URI, _MAKER, _VERSION, _BUILD)
    servers, namespaces, product, product_uri, maker, version, build = await link.read(
        [ua.NodeId(node) for node in wanted]
    )
    endpoints = await link.endpoints()
    more = {
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
        maker=maker or "",
        model=product or "",
        firmware=version or "",
        security=access.security_in_words,
        more={name: text for name, text in more.items() if text},
    )


def _words(endpoint: Any) -> str:  # noqa: ANN401  asyncua has no types
    logins = sorted({token.TokenType.name for token in endpoint.UserIdentityTokens or ()})
    mode = endpoint.SecurityMode.name.strip("_")
    return f"{endpoint.SecurityPolicyUri.removeprefix(_URI)} {mode}, log-in: {', '.join(logins) or 'none'}"


def _fingerprint(endpoints: list[Any]) -> str:
    shown = next((endpoint.ServerCertificate for endpoint in endpoints if endpoint.ServerCertificate), None)
    return fingerprint(first_certificate(shown)) if shown else ""
