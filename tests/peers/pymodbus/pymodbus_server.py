"""A Modbus/TCP server on loopback; takes the same arguments and orders as libmodbus/server.c.

Runs in the peer's own Python. Unit 1 takes the orders, unit 2 holds zeros, and all others stay silent.
"""

import asyncio
import sys

from pymodbus import ModbusDeviceIdentification
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

TABLES = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}


async def main(port: int) -> None:
    sessions = 0

    def connected(up: bool) -> None:  # noqa: FBT001  pymodbus calls it so
        nonlocal sessions
        sessions += 1 if up else -1

    def memory() -> tuple[list[SimData], ...]:
        bits = [SimData(0, values=[False] * 4000, datatype=DataType.BITS)]
        registers = [SimData(0, values=[0] * 4000, datatype=DataType.REGISTERS)]
        return [*bits], [*bits], [*registers], [*registers]

    identity = ModbusDeviceIdentification(
        info_name={
            "VendorName": "Northgate Instruments",
            "ProductCode": "NI-7",
            "MajorMinorRevision": "3.16.1",
            "VendorUrl": "https://northgate.example",
            "ProductName": "Energy meter",
            "ModelName": "NI-7 three-phase",
            "UserApplicationName": "press line",
        }
    )
    server = ModbusTcpServer(
        [SimDevice(unit, memory(), identity=identity) for unit in (1, 2)],
        identity=identity,
        address=("127.0.0.1", port),
        ignore_missing_devices=True,
        trace_connect=connected,
    )

    async def put(table: str, address: str, value: str) -> None:
        number = TABLES[table]
        values = [bool(int(value)) if number < 3 else int(value)]
        await server.context.async_setValues(1, number, int(address), values)

    for at in range(2, len(sys.argv), 3):
        await put(*sys.argv[at : at + 3])
    await server.serve_forever(background=True)
    print(f"READY {port}", flush=True)  # noqa: T201  its tongue
    while line := (await asyncio.to_thread(sys.stdin.readline)).split():
        if line[0] == "sessions":
            print(sessions, flush=True)  # noqa: T201
            continue
        await put(*line)
        print("done", flush=True)  # noqa: T201


asyncio.run(main(int(sys.argv[1])))
