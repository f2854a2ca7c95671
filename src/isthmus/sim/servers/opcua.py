"""A controller that speaks OPC UA: nodes in the shape of OPC 40001 (Machinery) or OPC 30050 (PackML).

    Objects/Machines/<name>/Identification/Manufacturer ...
    Objects/Machines/<name>/MachineryBuildingBlocks/MachineryItemState/CurrentState
    Objects/Machines/<name>/Production/ActiveProgram/...      Monitoring/...      Notification/...
    Objects/Machines/<name>/Status/StateCurrent ...           (PackML, whose controller stands in Objects/DeviceSet)

Beside the vibration's figure, which changes each second, stands its waveform: once a minute the readings of one burst.

With --shuffle N the namespaces are registered in another order and all node ids differ, as after a
download of a new controller program.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import math
import random
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isthmus.model.time import NS_PER_S, to_datetime
from isthmus.sim.bus import DROP, changes
from isthmus.sim.world import Value

_STATE = "MachineryBuildingBlocks/MachineryItemState/CurrentState"
_MODE = "MachineryBuildingBlocks/MachineryOperationMode/CurrentState"

MACHINERY = {
    "good": ("Production/ActiveProgram/PartsGood", "UInt32"),
    "scrap": ("Production/ActiveProgram/PartsScrap", "UInt32"),
    "order": ("Production/ActiveProgram/OrderIdentifier", "String"),
    "product": ("Production/ActiveProgram/PartIdentifier", "String"),
    "lot": ("Production/ActiveProgram/LotIdentifier", "String"),
    "material_lot": ("Production/ActiveProgram/MaterialLotIdentifier", "String"),
    "alarm": ("Notification/ActiveAlert", "String"),
    "spindle_speed": ("Monitoring/Spindle/Speed", "Double"),
    "spindle_load": ("Monitoring/Spindle/Load", "Double"),
    "temperature": ("Monitoring/Spindle/Temperature", "Double"),
    "vibration": ("Monitoring/Spindle/Vibration", "Double"),
    "power": ("Monitoring/Power", "Double"),
    "energy": ("Monitoring/Energy", "Double"),
}
PACKML = {
    **MACHINERY,
    "good": ("Admin/ProdProcessedGood", "UInt32"),
    "scrap": ("Admin/ProdDefectiveCount", "UInt32"),
    "order": ("Status/OrderIdentifier", "String"),
    "alarm": ("Admin/StopReason", "String"),
}
MACHINE = {
    "Manufacturer": "Isthmus simulated",
    "Model": "SIM-5 machining centre",
    "ProductCode": "SIM-5-1000",
    "SoftwareRevision": "4.1.2",
    "HardwareRevision": "B",
    "ProductInstanceUri": "urn:isthmus:sim:machine",
    "DeviceClass": "Machining centre",
}
"""A machine's nameplate, as OPC 40001-1 puts it below Identification."""
CONTROLLER = {
    "Manufacturer": "Isthmus simulated",
    "Model": "SIM-PLC 20",
    "ProductCode": "SIM-PLC-20-4",
    "SoftwareRevision": "2.8.1",
    "HardwareRevision": "3",
    "DeviceRevision": "1",
    "DeviceManual": "https://manuals.example/sim-plc-20",
}
"""A controller's nameplate, as OPC 10000-100 puts it below the DeviceSet."""
_LOCALISED = frozenset({"Manufacturer", "Model"})
WAVEFORM = "Monitoring/Spindle/Waveform"
RATE_HZ, READINGS = 25_600.0, 2_048
_BURST_EVERY_NS = 60 * NS_PER_S
_TEETH = 12
_MACHINERY_WORDS = {"RUN": "Executing", "DOWN": "OutOfService", "OFF": "NotAvailable"}
_PACKML_WORDS = {"RUN": "Execute", "IDLE": "Idle", "SETUP": "Idle", "DOWN": "Aborted", "OFF": "Stopped"}


def state_nodes(state: str, flavour: str) -> dict[str, str]:
    """What the state nodes say while the machine is in one of our states."""
    if flavour == "packml":
        return {"Status/StateCurrent": _PACKML_WORDS[state], "Status/UnitModeCurrent": _packml_mode(state)}
    mode = "Setup" if state == "SETUP" else "Processing"
    return {_STATE: _MACHINERY_WORDS.get(state, "NotExecuting"), _MODE: mode}


def burst(vibration: float, time_ns: int) -> list[float]:
    """Readings of a spindle that turns at 8,200 a minute, with this root mean square, mm/s; the same for the same moment."""
    chance, turns = random.Random(time_ns), 8_200 / 60
    phase = chance.random() * math.tau
    tones = [(1.0, turns), (0.4, 2 * turns), (0.6, _TEETH * turns)]
    raw = [
        sum(size * math.sin(math.tau * hz * at / RATE_HZ + phase) for size, hz in tones) + chance.gauss(0, 0.2)
        for at in range(READINGS)
    ]
    rms = math.sqrt(sum(one * one for one in raw) / READINGS)
    return [one * vibration / rms for one in raw]


def _packml_mode(state: str) -> str:
    return "Manual" if state == "SETUP" else "Production"


class Controller:
    """One machine's address space on an asyncua server."""

    def __init__(self, machine: str, flavour: str, shuffle: int) -> None:
        self.machine, self.flavour, self.shuffle = machine, flavour, shuffle
        self._nodes: dict[str, Any] = {}
        self._types: dict[str, Any] = {}
        self._burst_ns = 0

    async def build(self, server: Any) -> None:  # noqa: ANN401  asyncua ships no types
        """Make the folders and variables."""
        from asyncua import ua  # noqa: PLC0415  only this process needs it

        for number in range(self.shuffle):
            await server.register_namespace(f"urn:isthmus:sim:other:{number}")
        machinery = await server.register_namespace("http://opcfoundation.org/UA/Machinery/")
        devices = await server.register_namespace("http://opcfoundation.org/UA/DI/")
        index = await server.register_namespace("urn:isthmus:sim:machines")
        top = await server.nodes.objects.add_folder(f"ns={machinery};i=1001", f"{machinery}:Machines")
        root = await top.add_object(index, self.machine)
        if self.flavour == "packml":
            device_set = await server.nodes.objects.add_object(f"ns={devices};i=5001", f"{devices}:DeviceSet")
            plate, about = await device_set.add_object(index, "Controller"), CONTROLLER
        else:
            plate, about = await root.add_object(devices, "Identification"), MACHINE
        for name, text in {**about, "SerialNumber": f"S-{self.machine}"}.items():
            value = ua.LocalizedText(text, "en") if name in _LOCALISED else text
            await plate.add_property(devices, name, value)
        folders = {"": root}
        signals = PACKML if self.flavour == "packml" else MACHINERY
        wanted = dict(signals.values()) | dict.fromkeys(state_nodes("IDLE", self.flavour), "String")
        for path, type_name in wanted.items():
            self._nodes[path] = await self._variable(folders, index, path, type_name)
        self._nodes[WAVEFORM] = await self._variable(folders, index, WAVEFORM, "Float")
        await self._emit_burst(0.05, time.time_ns())

    async def _variable(self, folders: dict[str, Any], index: int, path: str, type_name: str) -> Any:  # noqa: ANN401
        from asyncua import ua  # noqa: PLC0415  only this process needs it

        above = ""
        for part in path.split("/")[:-1]:
            below = f"{above}/{part}" if above else part
            if below not in folders:
                folders[below] = await folders[above].add_object(index, part)
            above = below
        kind = getattr(ua.VariantType, type_name)
        self._types[path] = kind
        start: Value | list[float] = "" if type_name == "String" else 0 if type_name == "UInt32" else 0.0
        if path == WAVEFORM:
            start = [0.0]  # an array, so that whoever browses sees one
        return await folders[above].add_variable(index, path.rpartition("/")[2], start, kind)

    async def apply(self, signal: str, time_ns: int, value: Value) -> None:
        """Write one change with the moment at which it happened."""
        signals = PACKML if self.flavour == "packml" else MACHINERY
        if signal == "state":
            for path, text in state_nodes(str(value), self.flavour).items():
                await self._write(path, time_ns, text)
        elif signal in signals:
            scale = 1e-3 if signal in ("power", "energy") else 1
            await self._write(signals[signal][0], time_ns, value * scale if isinstance(value, float) else value)
        if signal == "vibration" and time_ns - self._burst_ns >= _BURST_EVERY_NS:
            await self._emit_burst(float(value), time_ns)

    async def _emit_burst(self, vibration: float, time_ns: int) -> None:
        self._burst_ns = time_ns
        await self._write(WAVEFORM, time_ns, burst(vibration, time_ns))

    async def _write(self, path: str, time_ns: int, value: Value | list[float]) -> None:
        from asyncua import ua  # noqa: PLC0415  as above

        moment = to_datetime(time_ns).replace(tzinfo=None)
        now = datetime.now(UTC).replace(tzinfo=None)
        data = ua.DataValue(ua.Variant(value, self._types[path]), SourceTimestamp=moment, ServerTimestamp=now)
        await self._nodes[path].write_value(data)


async def serve(args: argparse.Namespace) -> None:
    """Serve until the plant ends."""
    from asyncua import Server, ua  # noqa: PLC0415  as above

    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{args.port}/")
    await server.set_application_uri(f"urn:isthmus:sim:{args.machine}")
    made = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    await server.set_build_info("urn:isthmus:sim", "Isthmus", "Isthmus simulated controller", "1.0", "1", made)
    if args.certificate:
        server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
        await server.load_certificate(str(args.certificate))
        await server.load_private_key(str(args.key))
    else:
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    controller = Controller(args.machine, args.flavour, args.shuffle)
    await controller.build(server)
    async with server:
        async for signal, time_ns, value in changes(args.bus, args.machine):
            if signal == DROP:
                for client in tuple(server.bserver.clients):
                    client.transport.abort()
            else:
                await controller.apply(signal, time_ns, value)


def main() -> None:
    """Run as a process of its own."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--bus", type=Path, required=True)
    options.add_argument("--machine", required=True)
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--flavour", choices=["machinery", "packml"], default="machinery")
    options.add_argument("--shuffle", type=int, default=0)
    options.add_argument("--certificate", type=Path)
    options.add_argument("--key", type=Path)
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    with contextlib.suppress(KeyboardInterrupt, ConnectionError, FileNotFoundError):
        asyncio.run(serve(options.parse_args()))


if __name__ == "__main__":
    main()
