"""`[web]`: where the pages are served and where accounts are kept."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from isthmus.model.plant import Section


class WebSection(Section, frozen=True, kw_only=True):
    """`[web]`: pages, their accounts, and how others may reach them."""

    listen: Annotated[str, Meta(description="address and port of the pages")] = "127.0.0.1:8600"
    data: Annotated[Path, Meta(description="folder of accounts and sessions")] = Path("var/web")
    certificate: Annotated[Path | None, Meta(description="PEM file; with `key`, pages are served by HTTPS")] = None
    key: Annotated[Path | None, Meta(description="PEM file of the certificate's private key")] = None
    behind_proxy: Annotated[
        bool, Meta(description="true when a proxy in front ends HTTPS; cookies then demand HTTPS")
    ] = False
    session_hours: Annotated[float, Meta(gt=0, le=168, description="hours until a log-in ends")] = 12.0

    @property
    def host(self) -> str:
        """The address of `listen` without its port."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port of `listen`."""
        return int(self.listen.rpartition(":")[2])

    @property
    def secure(self) -> bool:
        """True when browsers reach the pages by HTTPS."""
        return self.behind_proxy or self.certificate is not None


def mistakes_in(section: WebSection) -> Iterator[tuple[str, str]]:
    """What is wrong in the section, each as (what, mend); nothing when it is fit for use."""
    host, colon, port = section.listen.rpartition(":")
    if not colon or not port.isdigit() or int(port) >= 1 << 16:
        yield f"listen = {section.listen!r} is no address with a port", "write it as 127.0.0.1:8600"
        return
    if (section.certificate is None) != (section.key is None):
        yield "certificate and key go together", "give both files, or neither"
    if not _loopback(host.strip("[]")) and not section.secure:
        yield (
            f"listen = {section.listen!r} can be reached from other machines without HTTPS",
            "give certificate and key, set behind_proxy = true, or listen on 127.0.0.1",
        )


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
