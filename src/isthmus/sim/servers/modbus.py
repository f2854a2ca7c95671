"""A PLC that speaks Modbus TCP: the machine's signals in a small register map, by pymodbus' own server.

holding registers, 32-bit values high word first
0      state   0 off, 1 idle, 2 set-up, 3 running, 4 down
1      alarm   0 none, else the alarm's place in the machine's list
2-3    good pieces, u32        4-5    scrapped pieces, u32
6-7    order number, u32, 0 when none
10-11  power kW, f32           12-13  energy kWh, f32
14-15  temperature degC, f32   16-17  vibration mm/s, f32   18-19 speed 1/min, f32
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import struct
from pathlib import Path

from isthmus.sim.bus import DROP, changes
from isthmus.sim.world import Value

REGISTERS = 20
STATES = ("OFF", "IDLE", "SETUP", "RUN", "DOWN")
_FLOATS = {"power": (10, 1e-3), "energy": (12, 1e-3), "temperature": (14, 1.0), "vibration": (16, 1.0)}
_FLOATS["spindle_speed"] = (18, 1.0)
_COUNTS = {"good": 2, "scrap": 4, "order": 6}
_HOLDING = 3
"""The function code by which the server's own memory is addressed."""


def registers_of(signal: str, value: Value, alarms: tuple[str, ...]) -> tuple[int, list[int]] | None:
    """Address and words of one signal; None for a signal that this PLC does not offer."""
    if signal == "state":
        return 0, [STATES.index(str(value)) if value in STATES else 1]
    if signal == "alarm":
        return 1, [alarms.index(str(value)) + 1 if value in alarms else 0]
    if signal in _COUNTS:
        return _COUNTS[signal], list(struct.unpack(">HH", struct.pack(">I", int(value or 0))))
    if signal in _FLOATS:
        address, factor = _FLOATS[signal]
        return address, list(struct.unpack(">HH", struct.pack(">f", float(value) * factor)))
    return None


async def serve(bus: Path, machine: str, port: int, alarms: tuple[str, ...]) -> None:
    """Serve until the plant ends."""
    from pymodbus import ModbusDeviceIdentification  # noqa: PLC0415  only this process needs it
    from pymodbus.server import ModbusTcpServer  # noqa: PLC0415  as above
    from pymodbus.simulator import DataType, SimData, SimDevice  # noqa: PLC0415  as above

    device = SimDevice(1, simdata=[SimData(0, values=[0] * REGISTERS, datatype=DataType.REGISTERS)])
    identity = ModbusDeviceIdentification(
        info_name={"VendorName": "Isthmus simulated", "ProductCode": "PRESS-PLC", "MajorMinorRevision": "2.4"}
    )
    server = ModbusTcpServer(device, identity=identity, address=("127.0.0.1", port))
    await server.serve_forever(background=True)
    try:
        async for signal, _, value in changes(bus, machine):
            if signal == DROP:
                for connection in tuple(server.active_connections.values()):
                    connection.close()
            place = registers_of(signal, value, alarms)
            if place is not None:
                await server.async_setValues(1, _HOLDING, place[0], place[1])
    finally:
        await server.shutdown()


def main() -> None:
    """Run as a process of its own."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--bus", type=Path, required=True)
    options.add_argument("--machine", required=True)
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--alarms", default="")
    args = options.parse_args()
    with contextlib.suppress(KeyboardInterrupt, ConnectionError, FileNotFoundError):
        asyncio.run(serve(args.bus, args.machine, args.port, tuple(filter(None, args.alarms.split(",")))))


if __name__ == "__main__":
    main()
