"""What a server shows when it is browsed, as a source and tags that can stand in a plant file."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from isthmus.edge.source import Source, SourceSection, TagFound
from isthmus.edge.sources import kinds
from isthmus.model.errors import DeviceAway, UsageError
from isthmus.plantfile.shape import faults_in, from_toml, plain


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A source and its signals."""

    kind: str
    name: str
    fields: dict[str, object]
    """The source's own fields, as they stand in the plant file."""
    tags: tuple[TagFound, ...]


async def browsed(url: str, name: str, given: Mapping[str, str], pattern: str, deadline_s: float) -> Found:
    """Browse the server at `url`. Reads, and never writes.

    Raises UsageError for a URL or field that no source takes, DeviceAway when the server does not
    answer, refuses, or takes longer than `deadline_s`.
    """
    kind, section = _kind_of(url)
    fields = {"url": url, **{key: _value(value) for key, value in given.items()}}
    table = {"name": name, "kind": kind, **fields}
    faults = list(faults_in(table, section, ()))
    if faults:
        raise UsageError("; ".join(f"{fault.what} ({fault.mend})" if fault.mend else fault.what for fault in faults))
    source = cast("Source", from_toml(table, section))
    tags: list[TagFound] = []
    try:
        async with asyncio.timeout(deadline_s), aclosing(cast("Any", source.browse(pattern))) as signals:
            tags += [found async for found in signals]
    except TimeoutError as error:
        msg = f"{url} was not browsed within {deadline_s:g} s; narrow it with --only, or give it longer with --deadline"
        raise DeviceAway(msg) from error
    if not tags:
        msg = f"{url} answers and shows no signal that matches {pattern}"
        raise UsageError(msg)
    return Found(kind=kind, name=name, fields=fields, tags=tuple(tags))


def _kind_of(url: str) -> tuple[str, type[SourceSection]]:
    """The protocol whose `url` field takes this one."""
    for kind, section in kinds().items():
        for field in msgspec.structs.fields(section):
            if field.name == "url" and any(
                limit.pattern and re.search(limit.pattern, url) for limit in plain(field.type)[1]
            ):
                return kind, section
    scheme = urlsplit(url).scheme or url
    msg = f"no source browses {scheme}; write opc.tcp://host:4840 (OPC UA) or http://host:5000 (MTConnect)"
    raise UsageError(msg)


def _value(text: str) -> object:
    """A field as TOML would hold it: a number, true or false, else text."""
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text
