"""The edge's own page, on loopback only: how sources, buffer, link and gate fare, in plain words.

Standard library alone, no script; it loads itself anew every two seconds. It works while everything
beyond the edge is gone, which is when it is needed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from html import escape
from typing import Any, Final

import msgspec

from isthmus.edge.gate import Latch
from isthmus.edge.intake import SourceNow
from isthmus.edge.uplink import LinkNow
from isthmus.model import status as st
from isthmus.model.errors import UsageError
from isthmus.model.time import NS_PER_S

_WAIT_S: Final = 5.0
_MOST_REQUEST: Final = 8192
_MOST_FAULTS: Final = 50

_STYLE: Final = """
:root{color-scheme:light dark;--g:#F2F4F5;--p:#fff;--t:#1C2429;--m:#5B7083;--l:#D5DBDF;--bad:#B3261E;--s:#2F6DB5}
@media(prefers-color-scheme:dark){:root{--g:#14191D;--p:#1C2329;--t:#E4E9EC;--m:#8FA3B3;--l:#333E46;--bad:#FF6B5E;--s:#5AA0F0}}
body{background:var(--g);color:var(--t);font:16px/1.5 system-ui,sans-serif;margin:0 auto;padding:1.5rem;max-width:70rem}
h1{font-size:1.25rem;margin:0 0 .25rem}h2{font-size:1rem;margin:2rem 0 .5rem}p{margin:.25rem 0}
.m{color:var(--m)}.bad{color:var(--bad);font-weight:600}
table{border-collapse:collapse;width:100%;background:var(--p);font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.5rem .75rem;border-bottom:1px solid var(--l);vertical-align:top}
th{font-weight:500;color:var(--m)}.n{text-align:right}
"""


class EdgeNow(msgspec.Struct, kw_only=True):
    """Everything that the page shows."""

    plant: str
    site: str
    sources: Sequence[SourceNow]
    link: LinkNow
    gate: Latch
    waiting_bytes: int
    buffer_bytes: int
    most_bytes: int
    dropped_rows: int
    trouble: str


async def listen(address: str, look: Callable[[], EdgeNow]) -> asyncio.Server:
    """Serve the page until the server is closed. Raises UsageError for an address that is not loopback's, or taken."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not _is_loopback(host):
        msg = f"[edge] status = {address!r}: an edge listens on loopback alone; write 127.0.0.1:8710"
        raise UsageError(msg)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, EOFError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_WAIT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(respond(head, look()))
                await writer.drain()
        writer.close()

    try:
        return await asyncio.start_server(answer, host, int(port), limit=_MOST_REQUEST)
    except OSError as error:
        msg = f"[edge] status = {address!r}: {error.strerror}; another edge may run here, or choose another port"
        raise UsageError(msg) from error


def respond(head: bytes, now: EdgeNow) -> bytes:
    """The HTTP answer to a request's head: `/` is the page, `/status.json` the same for programs."""
    host = re.search(rb"\r\nhost: *\[?([^\r\]]*?)\]?(?::\d+)?\r\n", head, re.IGNORECASE)
    if host and not _is_loopback(host[1].decode("latin-1")):
        # A page from elsewhere that had its own name point here must not read this one.
        return _http("403 Forbidden", "text/plain", "This page is for this machine; open it as 127.0.0.1.")
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if method != b"GET" or path not in {b"/", b"/status.json"}:
        return _http("404 Not Found", "text/plain", "Here are / and /status.json.")
    if path == b"/status.json":
        return _http("200 OK", "application/json", json.dumps(msgspec.to_builtins(now, str_keys=True)))
    return _http("200 OK", "text/html; charset=utf-8", page(now, time.time_ns()))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def page(now: EdgeNow, at_ns: int) -> str:
    """The page as it stands at `at_ns`."""
    rows = "".join(_source(source, at_ns) for source in now.sources)
    faults = "".join(
        f"<tr><td>{escape(source.name)}/{escape(fault.tag)}<td>{escape(st.words(fault.status))}<td>{escape(fault.why)}"
        for source in now.sources
        for fault in list(source.faults.values())[:_MOST_FAULTS]
    )
    bad_tags = f"<h2>Tags that cannot be read</h2><table><tr><th>Tag<th>Status<th>Why{faults}</table>" if faults else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2">'
        f'<meta name="viewport" content="width=device-width"><title>Edge of {escape(now.plant)}</title>'
        f"<style>{_STYLE}</style><h1>Edge of {escape(now.plant)}</h1>"
        f'<p class="m">As of {time.strftime("%H:%M:%S", time.gmtime(at_ns // NS_PER_S))} UTC</p>'
        f"<h2>Conduit</h2>{_gate(now.gate, at_ns)}{_link(now, at_ns)}"
        f"<h2>Buffer</h2>{_buffer(now)}"
        f"<h2>Sources</h2><table><tr><th>Source<th>State<th>Last contact<th>Next try<th>Tags"
        f"<th class=n>Samples{rows}</table>{bad_tags}"
    )


def _source(source: SourceNow, at_ns: int) -> str:
    words = {"up": "delivering", "connecting": "connecting", "away": "away", "refused": "refused", "stopped": "stopped"}
    css = ' class="bad"' if source.state in {"away", "refused"} else ""
    cause = f'<br><span class="m">{escape(source.cause)}</span>' if source.cause else ""
    tags = f"{source.tags}" + (f", {len(source.faults)} bad" if source.faults else "")
    return (
        f"<tr><td>{escape(source.name)}<br><span class=m>{escape(source.address)}</span>"
        f"<td><span{css}>{words[source.state]}</span>{cause}<td>{_ago(source.last_contact_ns, at_ns)}"
        f'<td>{_in(source.next_try_ns, at_ns)}<td>{tags}<td class="n">{source.samples:,}'
    )


def _gate(latch: Latch, at_ns: int) -> str:
    if not latch.closed:
        return "<p>The gate is open.</p>"
    proof = escape(latch.verified) or "not proved yet"
    return (
        f'<p class="bad">The gate is closed.</p><p>By {escape(latch.by)}, {_ago(latch.since_ns, at_ns)}: '
        f'{escape(latch.reason)}</p><p class="m">{proof}. Two people open it here: '
        f"isthmus reopen --by … --by … --reason …</p>"
    )


def _link(now: EdgeNow, at_ns: int) -> str:
    link = now.link
    alarm = f'<p class="bad">{escape(link.alarm)}</p>' if link.alarm else ""
    alarm += "".join(
        f'<p class="bad">{escape(why)}. What is read of it waits here.</p>' for why in link.refused.values()
    )
    if link.up:
        return f"<p>The site at {escape(now.site)} is reached.</p>{alarm}"
    then = f" Next try {_in(link.next_try_ns, at_ns)}." if link.next_try_ns else ""
    return (
        f'<p class="bad">The site is not reached.</p><p>{escape(link.cause)}.{then}</p>'
        f'<p class="m">Reading goes on; what is read waits here.</p>{alarm}'
    )


def _buffer(now: EdgeNow) -> str:
    trouble = f'<p class="bad">{escape(now.trouble)}</p>' if now.trouble else ""
    gone = f'<p class="bad">{now.dropped_rows:,} rows were let go since the start.</p>' if now.dropped_rows else ""
    return (
        f"<p>{_mb(now.waiting_bytes)} wait for the site; {_mb(now.buffer_bytes)} kept of at most "
        f"{_mb(now.most_bytes)}.</p>{gone}{trouble}"
    )


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _ago(then_ns: int | None, at_ns: int) -> str:
    return "never" if then_ns is None else f"{_span(at_ns - then_ns)} ago"


def _in(then_ns: int | None, at_ns: int) -> str:
    if then_ns is None:
        return "-"
    return "now" if then_ns <= at_ns else f"in {_span(then_ns - at_ns)}"


def _span(length_ns: int) -> str:
    seconds = max(length_ns, 0) / NS_PER_S
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _http(status: str, kind: str, body: str) -> bytes:
    data = body.encode()
    head: dict[str, Any] = {
        "Content-Type": kind,
        "Content-Length": len(data),
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
        "Connection": "close",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + data
