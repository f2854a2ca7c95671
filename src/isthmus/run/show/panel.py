"""Buttons that make things happen at the simulated plant: a page of its own, on loopback, for the demonstration.

What the buttons do is done to the plant, never through Isthmus: a killed controller is a killed process.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from html import escape
from typing import Final, NamedTuple

from isthmus.run.show.disturb import drift, drop, jump_clock, lie, mute
from isthmus.run.show.stage import Stage, Tell
from isthmus.run.show.story import breaks, cut_link, freeze, kill_edge, kill_site, stop_erp, unplug

_WAIT_S: Final = 5.0
_MOST_REQUEST: Final = 8192
_STYLE: Final = """
:root{color-scheme:light dark;--g:#F2F4F5;--p:#fff;--t:#1C2429;--m:#55636D;--l:#D5DBDF}
@media(prefers-color-scheme:dark){:root{--g:#14191D;--p:#1C2329;--t:#E4E9EC;--m:#A9B6BF;--l:#333E46}}
body{background:var(--g);color:var(--t);font:16px/1.5 system-ui,sans-serif;margin:0 auto;padding:1.5rem;max-width:44rem}
h1{font-size:1.25rem}p{color:var(--m)}form{margin:.5rem 0}
button{font:inherit;min-height:48px;padding:.5rem 1rem;border:1px solid var(--l);border-radius:6px;background:var(--p);color:var(--t);width:100%;text-align:left;cursor:pointer}
button small{display:block;color:var(--m)}
"""


class Button(NamedTuple):
    """What stands on it, what follows, and what it does."""

    words: str
    follows: str
    act: Callable[[Stage], Awaitable[None]]


BUTTONS: Final[Mapping[str, Button]] = {
    "break-cnc-03": Button(
        "Break CNC-03 for a minute", "spindle drive F0457; the reason is known by itself", breaks("cnc-03", 60, "F0457 spindle drive")
    ),
    "stop-press-2": Button(
        "Stop Press-2 for a minute", "its controller gives no reason: enter one", breaks("press-2", 60, "HYDRAULICS")
    ),
    "kill-cnc-02": Button("Kill CNC-02's controller for 20 s", "a real SIGKILL; it comes back with other node ids", unplug("cnc-02", 20)),
    "freeze-press-1": Button("Freeze Press-1's controller for 15 s", "it takes connections and answers nothing", freeze("press-1", 15)),
    "drop-cnc-01": Button("Cut all connections to CNC-01's controller", "it takes new ones at once; a cut is told and the values go on", drop("cnc-01")),
    "mute-paint": Button("Mute Paint's controller for 30 s", "it answers and keeps its session alive; its values stand still", mute("paint", 30)),
    "lie-mill-04": Button("Let Mill-04's temperature lie for 30 s", "it says 95 °C whatever is so", lie("mill-04", "temperature", 95.0, 30)),
    "drift-cnc-01": Button("Let CNC-01's vibration drift for a minute", "120 mm/s an hour away from the truth", drift("cnc-01", "vibration", 120.0, 60)),
    "clock-ahead-cnc-02": Button("Set CNC-02's clock ten minutes ahead for 20 s", "values from the future are set aside and named", jump_clock("cnc-02", 600, 20)),
    "clock-back-cnc-03": Button("Set CNC-03's clock ten minutes back for 20 s", "values that come late are folded in where they say", jump_clock("cnc-03", -600, 20)),
    "cut-link": Button("Cut the link between OT and IT for 60 s", "the edge goes on reading and keeps everything", cut_link(60)),
    "kill-edge": Button("Kill the edge", "kill -9; it is started again", kill_edge),
    "kill-site": Button("Kill the site", "kill -9; the pages go away for a moment", kill_site),
    "stop-erp": Button("Take the ERP down for 30 s", "reports wait and are sent once", stop_erp(30)),
}  # fmt: skip


class Panel:
    """The page. Its address holds a secret, so that no other page of the browser can press a button."""

    def __init__(self, stage: Stage, tell: Tell) -> None:
        self._stage, self._tell = stage, tell
        self._secret = secrets.token_urlsafe(9)
        self._server: asyncio.Server | None = None
        self._acts: set[asyncio.Task[None]] = set()

    async def open(self) -> str:
        """Serve it; its address."""
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0, limit=_MOST_REQUEST)
        port = self._server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}/{self._secret}/"

    def close(self) -> None:
        """Serve it no more."""
        if self._server is not None:
            self._server.close()
        for act in self._acts:
            act.cancel()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, TimeoutError, EOFError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_WAIT_S):
                head = (await reader.readuntil(b"\r\n\r\n")).decode(errors="replace")
                writer.write(self._respond(head))
                await writer.drain()
        writer.close()

    def _respond(self, head: str) -> bytes:
        method, _, rest = head.partition(" ")
        path = rest.partition(" ")[0]
        below = path.removeprefix(f"/{self._secret}/")
        if below == path:
            return _http("404 Not Found", "Here is nothing.")
        if method == "POST" and below in BUTTONS:
            button = BUTTONS[below]
            self._tell(f"button: {button.words}")
            act = asyncio.ensure_future(button.act(self._stage))
            self._acts.add(act)
            act.add_done_callback(self._acts.discard)
            return b"HTTP/1.1 303 See Other\r\nlocation: ./\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        return _http("200 OK", self._page())

    def _page(self) -> str:
        buttons = "".join(
            f'<form method="post" action="{name}"><button>{escape(button.words)}'
            f"<small>{escape(button.follows)}</small></button></form>"
            for name, button in BUTTONS.items()
        )
        return (
            f'<!doctype html><html lang="en-GB"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>Make something happen</title><style>{_STYLE}</style><h1>Make something happen</h1>"
            f'<p>At the simulated plant. Watch it on <a href="{escape(self._stage.pages)}/plant">the pages</a>.</p>{buttons}'
        )


def _http(status: str, body: str) -> bytes:
    content = body.encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {len(content)}\r\n"
    return (head + "cache-control: no-store\r\nconnection: close\r\n\r\n").encode() + content
