"""Plant files of the tests that run a site: a plant without machines, and one with a machine behind a controller."""

from __future__ import annotations

from pathlib import Path

CNC_01 = "acme/northgate/machining/line-a/cnc-01"
"""The machine of `one_machine`."""
PLANT = """
[plant]
name = "Northgate Works"
path = "acme/northgate"
"""
CONTROL = """
[[zone]]
name = "control"
kind = "control"
"""
_ALL_DAY = """
[[calendar]]
name = "main"
[[calendar.shifts]]
name = "Day"
start = "00:00"
end = "24:00"
days = "Mon-Sun"
"""
_MACHINE = """
[[source]]
name = "plc"
kind = "modbus"
host = "127.0.0.1"
[[source.tags]]
name = "running"
address = 1
kind = "i64"
[[source.tags]]
name = "parts"
address = 2
kind = "i64"
[[machine]]
path = "machining/line-a/cnc-01"
name = "CNC-01"
calendar = "main"
good = { tag = "plc/parts" }
[machine.state]
tags = { running = "plc/running" }
rules = ["RUN if running", "IDLE"]
"""


def no_machine(folder: Path, port: int) -> str:
    """A site that listens on `port` and keeps what it knows below `folder`."""
    return f'{PLANT}[site]\nlisten = "127.0.0.1:{port}"\ndata = "{folder}/site"\n{CONTROL}{_ALL_DAY}'


def one_machine(folder: Path, port: int, pages: int | None = None) -> str:
    """As `no_machine`, with CNC-01, a second of lateness, an edge that dials the site, and pages where asked for."""
    web = "" if pages is None else f'[web]\nlisten = "127.0.0.1:{pages}"\ndata = "{folder}/web"\n'
    site = f'[site]\nlisten = "127.0.0.1:{port}"\ndata = "{folder}/site"\nlateness_s = 1.0\n'
    edge = f'[edge]\nsite = "https://127.0.0.1:{port}"\ndata = "{folder}/edge"\n'
    return f"{PLANT}{site}{web}{edge}{CONTROL}{_ALL_DAY}{_MACHINE}"
