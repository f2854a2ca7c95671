"""Real servers on loopback, recorded as a mirror port would: who they are is known by construction."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import samples
from recorder import asked, recorded, wait_for

from isthmus.assets.decode.audit import hear
from isthmus.assets.decode.heard import Heard
from isthmus.assets.decode.said import Identity

ROOT = Path(__file__).resolve().parents[3]
SERVER = ROOT / "tests" / "peers" / "pymodbus" / "pymodbus_server.py"


@contextmanager
def process(*command: str, cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server in a process of its own, ended with the test."""
    running = subprocess.Popen(
        command, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield running
    finally:
        running.terminate()
        running.communicate(timeout=10)


def at(found: Heard, port: int, method: str) -> list[Identity]:
    """Who a server on this port said it is."""
    assert any(
        one.port == port and one.server == "127.0.0.1" and one.labelled == "content" for one in found.conversations
    )
    return [one for one in found.identities if one.method == method]


@pytest.mark.peer("pymodbus")
def test_a_modbus_server_of_others_is_identified(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    with (
        process(str(ROOT / ".peers" / "pymodbus" / "bin" / "python"), str(SERVER), str(port), cwd=tmp_path),
        recorded(tmp_path / "modbus.pcap", port) as path,
    ):
        wait_for(port)
        asked(
            socket.SOCK_STREAM, port,
            samples.mbap(1, 1, b"\x2b\x0e\x03\x00"), samples.mbap(2, 1, b"\x06\0\1\0\7"),
        )  # fmt: skip
    found = hear(path)
    (one,) = at(found, port, "Modbus 43/14")
    assert (one.maker, one.model, one.order_number) == ("Northgate Instruments", "NI-7 three-phase", "NI-7")
    assert (one.firmware, one.name) == ("3.16.1", "press line")
    assert ("Write Single Register", "write") in {(use.function, use.act) for use in found.uses if use.port == port}
    assert next(talk for talk in found.conversations if talk.port == port).initiation == "syn"


@pytest.mark.peer("cpppo")
def test_an_ethernet_ip_server_of_others_is_identified(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    python = str(ROOT / ".peers" / "cpppo" / "bin" / "python")
    (tmp_path / "cpppo.cfg").write_text(
        "[Identity]\nVendor Number = 309\nProduct Name = MVI56E-MNETC\nSerial Number = 12648430\n"
        "Product Revision = 2051\n"
    )
    server = (python, "-m", "cpppo.server.enip", "--address", f"127.0.0.1:{port}", "--no-udp", "SCADA=INT[4]")
    with process(*server, cwd=tmp_path), recorded(tmp_path / "enip.pcap", port) as path:
        wait_for(port, 25)
        asked(socket.SOCK_STREAM, port, samples.enip(0x63, b"")[:4] + bytes(8) + b"isthmus1" + bytes(4))
    (one,) = at(hear(path), port, "EtherNet/IP List Identity")
    assert (one.maker, one.model, one.firmware, one.serial) == ("ProSoft Technology", "MVI56E-MNETC", "3.8", "00c0ffee")


@pytest.mark.peer("net-snmp")
def test_an_snmp_agent_of_others_is_identified(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    (tmp_path / "snmpd.conf").write_text(
        "rocommunity public 127.0.0.1\nsysName press-switch\nsysDescr Hirschmann RS30 - SW: L2P-07.1.02\n"
    )
    agent = ("snmpd", "-f", "-C", "-c", str(tmp_path / "snmpd.conf"), "-Lf", str(tmp_path / "log"), "-p",
             str(tmp_path / "pid"), f"udp:127.0.0.1:{port}")  # fmt: skip
    names = (b"\x2b\6\1\2\1\1\1\0", b"\x2b\6\1\2\1\1\5\0")
    inner = b"".join(samples.ber(0x30, samples.ber(6, name) + b"\5\0") for name in names)
    pdu = samples.ber(0xA0, b"\2\1\1\2\1\0\2\1\0" + samples.ber(0x30, inner))
    message = samples.ber(0x30, b"\2\1\1" + samples.ber(4, b"public") + pdu)
    with process(*agent, cwd=tmp_path), recorded(tmp_path / "snmp.pcap", port) as path:
        for _ in range(40):
            try:
                asked(socket.SOCK_DGRAM, port, message)
            except OSError:
                time.sleep(0.25)
                continue
            break
    found = hear(path)
    (one,) = at(found, port, "SNMP system group")
    assert (one.maker, one.model, one.firmware, one.name) == ("Hirschmann", "RS30", "L2P-07.1.02", "press-switch")
    assert {exposure.what for exposure in found.exposures if exposure.port == port} == {"community public"}


def test_an_opc_ua_server_of_others_is_identified(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    code = (
        "import asyncio, sys\nfrom asyncua import Server\n"
        "async def main():\n    server = Server()\n    await server.init()\n"
        f"    server.set_endpoint('opc.tcp://127.0.0.1:{port}/')\n    server.set_server_name('Press line')\n"
        "    await server.set_application_uri('urn:example:press')\n    server.product_uri = 'http://example.com/press'\n"
        "    async with server:\n        await asyncio.sleep(60)\nasyncio.run(main())\n"
    )
    pytest.importorskip("asyncua")

    async def visit() -> None:
        from asyncua import Client  # noqa: PLC0415  only where it is there

        async with Client(f"opc.tcp://127.0.0.1:{port}/", timeout=10) as client:
            await client.get_namespace_array()

    with (
        process(sys.executable, "-W", "ignore", "-c", code, cwd=tmp_path),
        recorded(tmp_path / "opcua.pcap", port) as path,
    ):
        wait_for(port, 25)
        asyncio.run(visit())
    found = hear(path)
    servers = [one for one in at(found, port, "OPC UA ApplicationDescription") if one.role == "SCADA server"]
    assert {(one.model, one.name, one.more["application uri"]) for one in servers} == {
        ("http://example.com/press", "Press line", "urn:example:press")
    }
    assert "Open Secure Channel without security" in {use.function for use in found.uses if use.port == port}
