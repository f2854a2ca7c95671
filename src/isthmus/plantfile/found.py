"""What a server shows when it is browsed, as a source and tags that can stand in a plant file."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from isthmus.edge.opcua_client.profiles import Proposal, propose
from isthmus.edge.source import Identity, Source, SourceSection, TagFound
from isthmus.edge.sources import kinds
from isthmus.model.errors import DeviceAway, UsageError
from isthmus.plantfile.shape import faults_in, from_toml


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A source and its signals."""

    kind: str
    name: str
    fields: dict[str, object]
    """The source's own fields, as they stand in the plant file."""
    identity: Identity
    tags: tuple[TagFound, ...]
    """None where the protocol has no directory."""
    left_out: int = 0
    """Signals that no tag can hold: structures and arrays."""
    machines: tuple[Proposal, ...] = ()
    """Machines that were recognised by the names of their nodes."""


async def browsed(url: str, name: str, given: Mapping[str, str], pattern: str, deadline_s: float) -> Found:
    """Browse the server at `url`. Reads, and never writes.

    Raises UsageError for a URL or field that no source takes, NotApproved at the first contact with a
    server whose certificate nobody has approved, DeviceAway when the server does not answer, refuses,
    or takes longer than `deadline_s`.
    """
    kind, section = _kind_of(url)
    fields = {**_fields(section, url), **{key: _value(value) for key, value in given.items()}}
    table = {"name": name, "kind": kind, **fields}
    faults = list(faults_in(table, section, ()))
    if faults:
        raise UsageError("; ".join(f"{fault.what} ({fault.mend})" if fault.mend else fault.what for fault in faults))
    source = cast("Source", from_toml(table, section))
    signals: list[TagFound] = []
    try:
        async with asyncio.timeout(deadline_s):
            identity = await source.identify()
            async with aclosing(cast("Any", source.browse(pattern))) as found:
                signals += [one async for one in found]
    except TimeoutError as error:
        msg = f"{url} was not browsed within {deadline_s:g} s; narrow it with --only, or give it longer with --deadline"
        raise DeviceAway(msg) from error
    tags = tuple(one for one in signals if one.kind is not None)
    if section.has_directory and not tags:
        msg = f"{url} answers and shows no signal that matches {pattern}"
        raise UsageError(msg)
    return Found(
        kind=kind,
        name=name,
        fields=fields,
        identity=identity,
        tags=tags,
        left_out=len(signals) - len(tags),
        machines=tuple(propose(identity.more.get("namespaces", "").split("\n"), tags)),
    )


def _kind_of(url: str) -> tuple[str, type[SourceSection]]:
    """The protocol that takes a URL's scheme."""
    scheme = urlsplit(url).scheme
    for kind, section in kinds().items():
        if scheme in section.schemes:
            return kind, section
    known = ", ".join(f"{scheme}://" for section in kinds().values() for scheme in section.schemes)
    msg = f"no source browses {scheme or url}; write one of {known} with host and port"
    raise UsageError(msg)


def _fields(section: type[SourceSection], url: str) -> dict[str, object]:
    try:
        return section.from_url(url)
    except ValueError as error:
        msg = f"--from {url}: {error}"
        raise UsageError(msg) from error


def _value(text: str) -> object:
    """A field as TOML would hold it: a number, true or false, else text."""
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text
